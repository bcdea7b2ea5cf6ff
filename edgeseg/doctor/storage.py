"""Whether the disk of the recordings can be written, holds enough and is fast enough."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from edgeseg.doctor.finding import Finding
from edgeseg.errors import explain

#: What is written to measure: some seconds of recording, little enough for an SD card.
BLOCK_BYTES = 1 << 20
BLOCKS = 8
#: Two cameras of 720p at 25 frames a second take about 2 MB/s; below this a card is worn out or a poor one.
SLOW_BYTES_PER_S = 4e6
#: The recorder synchronises every second: a disk that takes longer for it holds up the recording.
SLOW_SYNC_S = 1.0
LOW_BYTES = 1_000_000_000
#: What lies there is gone after a power cut.
MEMORY_FILE_SYSTEMS = ("tmpfs", "ramfs")


@dataclass(frozen=True, slots=True)
class WriteSpeed:
    """Bytes a second with a synchronisation after each block, and the slowest one of these in seconds."""

    bytes_per_s: float
    slowest_sync_s: float


def measure_writing(folder: Path) -> WriteSpeed:
    """Writes a file without a name in `folder`, block by block, each brought to the disk. Raises OSError."""
    # Random bytes: some disks compress.
    block = os.urandom(BLOCK_BYTES)
    slowest = 0.0
    with tempfile.TemporaryFile(dir=folder, buffering=0) as file:
        begun = time.perf_counter()
        for _ in range(BLOCKS):
            file.write(block)
            synced = time.perf_counter()
            os.fdatasync(file.fileno())
            slowest = max(slowest, time.perf_counter() - synced)
        return WriteSpeed(BLOCKS * BLOCK_BYTES / (time.perf_counter() - begun), slowest)


def check_storage(folder: Path, root: Path = Path("/"), *, low_bytes: int = LOW_BYTES) -> list[Finding]:
    """Looks at the folder of the recordings, or at the nearest one above it that is there; makes none."""
    try:
        place = _nearest(folder)
    except PermissionError:
        return [Finding("storage", "warning", f"{folder}: this user may not look at it", "run: sudo edgeseg doctor")]
    if not place.is_dir():
        return [Finding("storage", "problem", f"{place}: is no folder", "change the folder in the configuration")]
    try:
        free = shutil.disk_usage(place).free
        speed = measure_writing(place)
    except OSError as error:
        return [
            Finding(
                "storage",
                "problem",
                f"{place}: cannot be written: {explain(error)}",
                f"give it to whom edgeseg runs as (sudo chown edgeseg: {place}), or make room, or check the mount",
            )
        ]
    system = file_system(place, root)
    details = {
        "folder": str(place),
        "free_bytes": free,
        "bytes_per_s": speed.bytes_per_s,
        "slowest_sync_s": speed.slowest_sync_s,
        "file_system": system,
    }
    speeds = f"writes {speed.bytes_per_s / 1e6:.1f} MB/s, slowest sync {speed.slowest_sync_s * 1e3:.0f} ms"
    text = f"{place}: {free / 1e9:.1f} GB free, {speeds}"
    findings = []
    if free < low_bytes:
        findings.append(
            Finding(
                "storage", "warning", f"{place}: only {free / 1e9:.2f} GB are free", "make room, or record elsewhere"
            )
        )
    if speed.bytes_per_s < SLOW_BYTES_PER_S or speed.slowest_sync_s > SLOW_SYNC_S:
        findings.append(
            Finding(
                "storage",
                "warning",
                f"{place}: slow: {speed.bytes_per_s / 1e6:.1f} MB/s, a sync took {speed.slowest_sync_s:.2f} s",
                "use an SD card of class A2 or a USB SSD; a card that was faster once is worn out",
            )
        )
    if system in MEMORY_FILE_SYSTEMS:
        findings.append(
            Finding("storage", "warning", f"{place}: lies in memory ({system}): a restart loses it", "record to a disk")
        )
    return [Finding("storage", "ok", text, details=details), *findings]


def _nearest(folder: Path) -> Path:
    """Returns the folder, or the nearest one above it that is there. Raises PermissionError where that is hidden."""
    for place in (folder, *folder.parents):
        with contextlib.suppress(FileNotFoundError, NotADirectoryError):
            place.stat()
            return place
    return Path.cwd()


def file_system(place: Path, root: Path = Path("/")) -> str | None:
    """Returns the type of the file system that `place` lies on, as /proc/self/mounts names it."""
    try:
        lines = (root / "proc/self/mounts").read_text(encoding="utf-8").splitlines()
    except OSError:
        return None
    place = place.resolve()
    found: tuple[int, str] | None = None
    for line in lines:
        _, mounted, kind, *_ = line.split(" ")
        mount = Path(mounted.replace("\\040", " "))
        # The longest one that holds it; of two at one place the later covers the earlier.
        if place.is_relative_to(mount) and (found is None or len(mount.parts) >= found[0]):
            found = (len(mount.parts), kind)
    return found[1] if found else None
