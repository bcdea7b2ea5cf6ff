"""Disks and limits that make a sink's writes fail for real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.edgeseg.program import limit_file_size, mount_disk


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes."""
    with mount_disk(tmp_path / "disk", 2) as disk:
        yield disk


@pytest.fixture
def file_size_limit() -> Callable[[int], AbstractContextManager[None]]:
    """Within file_size_limit(n) no file grows past n bytes."""
    return limit_file_size
