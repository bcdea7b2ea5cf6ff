"""A folder is one run's until that run ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.errors import SinkUnavailableError
from edgeseg.recording.lock import NAME, FolderLock


def test_one_at_a_time(tmp_path: Path) -> None:
    first, second = FolderLock(tmp_path), FolderLock(tmp_path)
    first.hold()
    with pytest.raises(SinkUnavailableError, match="another run records there; end it or choose another folder"):
        second.hold()
    first.release()
    first.release()
    second.hold()
    second.release()


def test_a_folder_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        FolderLock(tmp_path / "none").hold()


def test_a_lock_that_somebody_deleted_is_not_held_any_more(tmp_path: Path) -> None:
    lock = FolderLock(tmp_path)
    assert not lock.is_held()
    lock.hold()
    assert (lock.is_there(), lock.is_held()) == (True, True)
    (tmp_path / NAME).unlink()
    assert (lock.is_there(), lock.is_held()) == (False, False)
    (tmp_path / NAME).touch()
    assert (lock.is_there(), lock.is_held()) == (True, False)
    lock.release()
