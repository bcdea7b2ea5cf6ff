"""A folder is one run's until that run ends."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.errors import SinkUnavailableError
from edgeseg.recording.lock import FolderLock


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
