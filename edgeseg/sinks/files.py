"""Writing files whole or not at all, and saying in one line why one could not be written."""

from __future__ import annotations

import errno
from pathlib import Path

from edgeseg.errors import SinkUnavailableError


def prepare_folder(folder: Path) -> None:
    """Makes a folder and sees that it can be written to. Raises SinkUnavailableError."""
    probe = folder / ".edgeseg-write-test"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        probe.open("wb").close()
        probe.unlink()
    except OSError as error:
        raise SinkUnavailableError(f"{folder}: cannot be written: {say_why(error)}") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, leaving no half of one. Raises SinkUnavailableError.

    For encoded pictures too: cv2.imwrite says True after a short write to a full disk.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise SinkUnavailableError(f"{path}: writing stopped: {say_why(error)}; the files before stay there") from error


def say_why(error: OSError) -> str:
    """Returns the reason and, where there is one, the remedy."""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return "no space left on the disk; free some or write elsewhere"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{(error.strerror or 'not allowed').lower()}; choose a folder that you may write to"
    return (error.strerror or str(error)).lower()
