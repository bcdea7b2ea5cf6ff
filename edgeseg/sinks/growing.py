"""GrowingFile: an output has its name only once it is complete, and destroys nothing on the way there."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import logging
from itertools import count
from pathlib import Path
from typing import BinaryIO

from edgeseg.sinks.files import drop_folders, make_folder

logger = logging.getLogger(__name__)


class GrowingFile:
    """NAME, which grows as NAME.part. Before `begin()` nothing is there that was not there before.

    A NAME of an earlier run stays until the new one is complete. A NAME.part, all that an earlier run left that was
    killed, is moved aside. Every method raises OSError.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.part = growing_path(path)
        self._folders: list[Path] = []
        self._lock: BinaryIO | None = None

    def prepare(self) -> None:
        """Sees that the file can be written, so that the user hears at the start when it cannot."""
        if self.path.is_dir():
            raise IsADirectoryError(errno.EISDIR, "it is a folder")
        self._folders = make_folder(self.path.parent)
        probe = self.path.with_name(f".{self.path.name}.write-test")
        try:
            probe.open("wb").close()
            probe.unlink()
            self._refuse_part_in_use()
        except OSError:
            drop_folders(self._folders)
            raise

    def begin(self) -> None:
        """Makes the empty NAME.part; called with the first content."""
        self._refuse_part_in_use()
        if self.part.exists():
            names = (self.path.with_name(f"{self.path.name}.{number}.part") for number in count(1))
            aside = next(path for path in names if not path.exists())
            self.part.rename(aside)
            logger.warning("%s: an earlier run was cut off; what it left is now %s", self.path, aside.name)
        self._lock = self.part.open("wb")
        # Where the file system knows no locks, two runs into one file are not noticed.
        with contextlib.suppress(OSError):
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def complete(self) -> None:
        """Gives the file its name."""
        self.part.replace(self.path)
        self._release()

    def keep(self) -> Path | None:
        """Returns where the content of a file that will not be complete stays, None when there is none."""
        self._release()
        with contextlib.suppress(OSError):
            if self.part.stat().st_size == 0:
                self.part.unlink()
                return None
            if not self.path.exists():
                self.part.rename(self.path)
                return self.path
            return self.part
        return None

    def drop(self) -> None:
        """Leaves everything as it was; called instead of `begin()` when no content came."""
        drop_folders(self._folders)

    def _refuse_part_in_use(self) -> None:
        try:
            with self.part.open("rb") as file:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except FileNotFoundError:
            return
        except BlockingIOError as error:
            raise OSError(errno.EBUSY, "another run is writing it; choose another name") from error
        except OSError:
            return

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.close()
            self._lock = None


def growing_path(path: Path) -> Path:
    """Returns where a file is while it grows."""
    return path.with_name(path.name + ".part")
