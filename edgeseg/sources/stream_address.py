"""StreamAddress: the URL of a camera or a stream on the network, checked, and how to name it without its password."""

from __future__ import annotations

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import urlsplit

from edgeseg.errors import UsageError
from edgeseg.redact import redact

#: The schemes that are read, each with its usual port (a UDP stream has none).
PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443, "udp": None}
#: How long a look at a port may take.
LOOK_S = 1.0


@dataclass(frozen=True, slots=True)
class StreamAddress:
    """Where a stream is read. `url` may hold a password; `name` never does, and is what everybody else is told."""

    url: str
    name: str
    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, url: str) -> StreamAddress:
        """Returns the address that `url` means. Raises UsageError, whose message holds no credentials."""
        name = redact(url)
        scheme, _, rest = url.partition("://")
        scheme = scheme.lower()
        if scheme not in PORTS:
            kinds = ", ".join(f"{kind}://" for kind in PORTS)
            raise UsageError(f"{scheme}://...: no such kind of source; of streams {kinds} are read")
        try:
            parts = urlsplit(f"{scheme}://{rest}")
            host, port = parts.hostname or "", parts.port
        except ValueError:
            # Not from it: its words may hold what stands where the port should be: the end of a password.
            raise UsageError(
                f"{name}: is no address: the port must be 1 to 65535, and in a password write / as %2F, @ as %40"
            ) from None
        if any(sign.isspace() or not sign.isprintable() for sign in rest):
            raise UsageError(f"{name}: an address holds no blanks; write one as %20")
        if scheme == "udp":
            if not port:
                raise UsageError(f"{name}: needs a port; write for instance udp://@:5000 or udp://239.0.0.1:5000")
        elif not host or port == 0:
            raise UsageError(f"{name}: names no camera; write for instance {scheme}://192.168.1.10/stream")
        try:
            # As whoever looks it up does; what cannot be written so would be an error there.
            host.encode("idna")
        except UnicodeError:
            raise UsageError(f"{name}: its host can be none; a name's parts have 1 to 63 letters each") from None
        return cls(f"{scheme}://{rest}", name, scheme, host, port or PORTS[scheme] or 0)

    def is_there(self) -> bool:
        """Returns whether somebody listens there; a stream that is sent without being asked for always may be."""
        if self.scheme == "udp":
            return True
        try:
            socket.create_connection((self.host, self.port), LOOK_S).close()
        except OSError:
            return False
        return True

    def is_known(self) -> bool:
        """Returns whether the host's name leads to an address."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            try:
                socket.getaddrinfo(self.host, self.port)
            except OSError:
                return False
        return True
