"""FolderLock: two runs do not write into one folder."""

from __future__ import annotations

import errno
import fcntl
import os
from pathlib import Path
from typing import BinaryIO

from edgeseg.errors import SinkUnavailableError

NAME = ".edgeseg.lock"


class FolderLock:
    """A lock that goes with the process that holds it, however that ends."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._file: BinaryIO | None = None

    def hold(self) -> None:
        """Raises SinkUnavailableError when another run holds it, OSError when there can be none."""
        self._file = (self._folder / NAME).open("ab")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self.release()
            raise SinkUnavailableError(
                f"{self._folder}: another run records there; end it or choose another folder"
            ) from error
        except OSError as error:
            # Some network file systems know no locks: there two runs are not noticed.
            if error.errno not in (errno.ENOTSUP, errno.ENOSYS, errno.ENOLCK):
                self.release()
                raise

    def is_there(self) -> bool:
        """Whether the folder is one that somebody has recorded into, and not only the place where its disk was."""
        return (self._folder / NAME).exists()

    def is_held(self) -> bool:
        """Whether what we hold is the lock that lies in the folder now."""
        try:
            return self._file is not None and os.path.samestat(
                os.fstat(self._file.fileno()), (self._folder / NAME).stat()
            )
        except FileNotFoundError:
            return False

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
