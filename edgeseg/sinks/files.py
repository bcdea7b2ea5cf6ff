"""Writing files whole or not at all, and saying in one line why one could not be written."""

from __future__ import annotations

import contextlib
import errno
import os
from collections.abc import Sequence
from pathlib import Path

from edgeseg.errors import SinkUnavailableError, explain

#: What the system calls a disk without room, or a user's share of it.
FULL = (errno.ENOSPC, errno.EDQUOT)
#: What no waiting mends: a folder that is none, or not ours. Everything else that a disk says may pass, also that it is
#: read-only: that is what a kernel makes of a card that fails.
FINAL = (
    errno.EACCES,
    errno.EPERM,
    errno.EEXIST,
    errno.EISDIR,
    errno.ENOTDIR,
    errno.ENAMETOOLONG,
    errno.EINVAL,
    errno.ELOOP,
)


def prepare_folder(folder: Path) -> list[Path]:
    """Makes a folder and sees that it can be written to; returns what was made. Raises SinkUnavailableError."""
    probe = folder / ".edgeseg-write-test"
    try:
        made = make_folder(folder)
        probe.open("wb").close()
        probe.unlink()
    except OSError as error:
        raise SinkUnavailableError(f"{folder}: cannot be written: {say_why(error)}") from error
    return made


def make_folder(folder: Path) -> list[Path]:
    """Makes a folder and those around it; returns what was missing, innermost first. Raises OSError."""
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def drop_folders(folders: Sequence[Path]) -> None:
    """Removes folders, innermost first, as far as they are empty."""
    with contextlib.suppress(OSError):
        for folder in folders:
            folder.rmdir()


def write_bytes(path: Path, content: bytes) -> None:
    """Writes a file, leaving no half of one. Raises SinkUnavailableError.

    For encoded pictures too: cv2.imwrite says True after a short write to a full disk.
    """
    try:
        path.write_bytes(content)
    except OSError as error:
        path.unlink(missing_ok=True)
        raise SinkUnavailableError(f"{path}: writing stopped: {say_why(error)}; the files before stay there") from error


def flush_to_disk(path: Path) -> None:
    """Returns once the content of a file would survive a power cut. Raises OSError."""
    with path.open("rb") as file:
        os.fsync(file.fileno())


def flush_folder(folder: Path) -> None:
    """Returns once the names in a folder would survive a power cut. Raises OSError."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    except OSError as error:
        # Some file systems in user space know no such thing; there is no more to be had from them.
        if error.errno not in (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP):
            raise
    finally:
        os.close(handle)


def say_why(error: OSError) -> str:
    """Returns the reason and, where there is one, the remedy."""
    if error.errno in FULL:
        return "no space left on the disk; free some or write elsewhere"
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"{explain(error)}; choose a folder that you may write to"
    return explain(error)
