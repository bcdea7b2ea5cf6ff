"""Runs the real program, as a user's shell does, and looks at what a user sees: exit code, stdout, stderr."""

from __future__ import annotations

import os
import resource
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import av
import av.error
import pytest

ROOT = Path(__file__).resolve().parents[2]
#: Long enough for the slowest machine: what takes longer hangs.
LIMIT_S = 120


def environment() -> dict[str, str]:
    """The environment of the tests, with this checkout's edgeseg in it whatever the working folder is."""
    return {**os.environ, "PYTHONPATH": str(ROOT)}


def run_edgeseg(*arguments: object, prefix: tuple[str, ...] = (), **options: Any) -> subprocess.CompletedProcess[str]:
    """Runs `edgeseg ARGUMENTS` to its end, behind the command `prefix`."""
    command = [*prefix, sys.executable, "-m", "edgeseg", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=LIMIT_S, env=environment(), check=False, **options
    )


@contextmanager
def start_edgeseg(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Runs `edgeseg ARGUMENTS` while the block runs; what is left of it then is killed."""
    # Under nohup SIGHUP would be ignored in here, too, and edgeseg heeds that.
    command = ["env", "--default-signal=HUP", sys.executable, "-m", "edgeseg", *map(str, arguments)]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for_handlers(process: subprocess.Popen[str]) -> None:
    """Waits until the program takes signals itself: before that it is the Python interpreter that is starting."""
    needed = (1 << (signal.SIGTERM - 1)) | (1 << (signal.SIGINT - 1))
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
        caught = int(next(line.split()[1] for line in status.splitlines() if line.startswith("SigCgt")), 16)
        if caught & needed == needed:
            return
        time.sleep(0.001)
    raise AssertionError("the program never took its signals")


def wait_until_running(process: subprocess.Popen[str], *outputs: Path, size: int = 1) -> None:
    """Waits until each output, or its unfinished form, holds `size` bytes."""
    deadline = time.monotonic() + LIMIT_S
    while time.monotonic() < deadline and process.poll() is None:
        if all(max(_size(path), _size(path.with_name(path.name + ".part"))) >= size for path in outputs):
            return
        time.sleep(0.005)
    raise AssertionError(f"{outputs} did not grow")


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return -1


def assert_one_error(result: subprocess.CompletedProcess[str], code: int, *names: object) -> None:
    """The program ended with `code` and said why in one line that holds every one of `names`."""
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("edgeseg: error: ")
    for name in names:
        assert str(name) in line


def count_frames(path: Path, *, cut: bool = False) -> int:
    """How many pictures of a video can be decoded: all of them, or with `cut` those before the first damage."""
    frames = 0
    with av.open(str(path)) as container:
        try:
            for _ in container.decode(video=0):
                frames += 1
        except av.error.InvalidDataError:
            if not cut:
                raise
    return frames


def own_mounts(script: str) -> tuple[str, ...]:
    """A prefix that runs a command after `script`, whose mounts nobody else sees; skips where that is not allowed."""
    unshare = shutil.which("unshare")
    for options in (["--mount"], ["--user", "--map-root-user", "--mount"]):
        prefix = (str(unshare), *options, "sh", "-c", script + ' && exec "$@"', "sh")
        if unshare and subprocess.run([*prefix, "true"], capture_output=True, check=False).returncode == 0:
            return prefix
    pytest.skip("this machine lets nobody mount a small or read-only disk")


@contextmanager
def mount_disk(folder: Path, megabytes: int) -> Iterator[Path]:
    """A file system of so many megabytes, for root and for everybody else.

    A process with mounts of its own holds it, in a user namespace of ours where we are not root; we reach it through
    that process's root folder.
    """
    folder.mkdir()
    script = f"mount -t tmpfs -o size={megabytes}m none '{folder}' && echo mounted && exec cat"
    prefix = own_mounts("true")
    with subprocess.Popen([*prefix, "sh", "-c", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"mounted\n"
        yield Path(f"/proc/{holder.pid}/root{folder}")


@contextmanager
def limit_file_size(size: int) -> Iterator[None]:
    """No file of this process grows past so many bytes: writes fail as on a full disk, with another errno."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
