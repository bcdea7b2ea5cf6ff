"""Who this installation is to others: a name that stays the same and is nobody else's."""

from __future__ import annotations

import hashlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path


def make_client_id(environment: Mapping[str, str] | None = None, machine_id: Path = Path("/etc/machine-id")) -> str:
    """Returns `edgeseg-` and ten hexadecimal digits: the same after every start, another one for every instance.

    Not the host's name, which all boards fresh from one card image share: a broker disconnects the elder of two clients
    of one name. The machine's id is hashed, for machine-id(5) asks not to tell it. Instances of the service are told
    apart by their state directories.
    """
    environment = os.environ if environment is None else environment
    try:
        machine = machine_id.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        machine = socket.gethostname()
    words = f"edgeseg {machine} {environment.get('STATE_DIRECTORY', '')}"
    return f"edgeseg-{hashlib.sha256(words.encode()).hexdigest()[:10]}"
