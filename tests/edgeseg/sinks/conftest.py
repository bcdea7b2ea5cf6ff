"""Disks and limits that make a sink's writes fail for real."""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import pytest

from tests.edgeseg.program import own_mounts


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of two megabytes, for root and for everybody else.

    A process with mounts of its own holds it, in a user namespace of ours where we are not root; we reach it through
    that process's root folder.
    """
    folder = tmp_path / "disk"
    folder.mkdir()
    script = f"mount -t tmpfs -o size=2m none '{folder}' && echo mounted && exec cat"
    prefix = own_mounts("true")
    with subprocess.Popen([*prefix, "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mounted\n"
        yield Path(f"/proc/{holder.pid}/root{folder}")


@pytest.fixture
def file_size_limit() -> Callable[[int], AbstractContextManager[None]]:
    """Within file_size_limit(n) no file grows past n bytes: writes fail as on a full disk, with another errno."""

    @contextmanager
    def limit(size: int) -> Iterator[None]:
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit
