"""What a kill and a power cut cost a recording: `python -m benchmarks.recorder [KILLS [CUTS]]`, on Linux.

A process records the bundled drive in segments of four seconds and tells of every picture it has captured.

- kill: it gets SIGKILL at a random moment, KILLS times (50).
- power: it records into an ext4 file system in a file; at a random moment that file is copied as it is, CUTS times
  (10), and the copy is what the next start finds. Needs root and loop devices. Where TMPDIR is on a file system whose
  files can share blocks (XFS, btrfs), the copy is that of one moment; elsewhere it takes some milliseconds.

Then the recording is opened again, which repairs it, and every picture of every segment is decoded. Lost is what had
been captured before that moment and has no picture or no record in any segment (bar: at most 1 s). The last column is
what the process itself had measured: from the capture of a picture until it was on the disk for good, at most.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import av
import numpy as np

from edgeseg.frame import Frame, Segmentation
from edgeseg.recording.archive import Archive
from edgeseg.recording.config import RecordingConfig
from edgeseg.recording.name import RECORDS, VIDEO
from edgeseg.recording.recorder import Recorder
from edgeseg.sinks.sink import Result

ROOT = Path(__file__).resolve().parent.parent
CLIP = ROOT / "examples" / "drive" / "highway.mp4"
FPS = 25
SEGMENT_S = 4.0
LIMIT_S = 60.0
IMAGE_BYTES = 128 * 2**20
#: ioctl of Linux: make a file share the blocks of another, as they are at this moment.
FICLONE = 0x4004_9409


@dataclass(frozen=True)
class Outcome:
    """What was left. closed: segments that had their name already. lost_s: of what had been captured.

    exposed_s: from the capture of a picture until it was on the disk for good, at most, as the process measured it.
    """

    captured: int
    recovered: int
    closed: int
    lost_s: float
    exposed_s: float


def record(folder: Path, segment_s: float) -> None:
    """Records until it is killed; tells of every picture as soon as it has it."""
    with av.open(str(CLIP)) as container:
        pictures = [frame.to_ndarray(format="bgr24") for frame in islice(container.decode(video=0), 50)]
    config = RecordingConfig.model_validate(
        {"folder": folder, "segment": f"{segment_s}s", "picture": "raw", "keep": {"free": "1MB"}}
    )
    cells = np.zeros((4, 4), np.uint8)
    with Recorder(config, Archive(folder, config.keep)) as recorder:
        begun_ns = time.monotonic_ns()
        index = 0
        while True:
            due_ns = begun_ns + index * 1_000_000_000 // FPS
            time.sleep(max(0.0, (due_ns - time.monotonic_ns()) / 1e9))
            frame = Frame(pictures[index % len(pictures)], index, time.monotonic_ns(), "drive")
            print(frame.captured_ns, recorder.status().recovery_s, flush=True)
            recorder.write(Result(Segmentation(frame, cells, cells), lambda it: it.frame.image.copy()))
            index += 1


@contextlib.contextmanager
def recording(folder: Path, segment_s: float, told: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Runs `record()` in a process of its own, its stdout going to the file `told`; killed at the end."""
    command = [sys.executable, str(Path(__file__).resolve()), "--record", str(folder), str(segment_s)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with told.open("wb") as out, subprocess.Popen(command, stdout=out, env=environment) as process:
        try:
            yield process
        finally:
            process.kill()


def read_told(told: Path) -> list[tuple[int, float]]:
    """Returns when each picture was captured, and the longest exposure so far; a half line does not count."""
    lines = told.read_bytes().split(b"\n")[:-1]
    return [(int(captured), float(exposed)) for captured, exposed in (line.split() for line in lines)]


def run_for(process: subprocess.Popen[bytes], told: Path, seconds: float) -> None:
    """Waits until the process has recorded for so long."""
    deadline = time.monotonic() + LIMIT_S
    while not read_told(told):
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError(f"the recording did not begin; it ended with {process.poll()}")
        time.sleep(0.005)
    time.sleep(seconds)
    if process.poll() is not None:
        raise RuntimeError(f"the recording ended by itself with {process.returncode}")


def kill_at(folder: Path, seconds: float, segment_s: float = SEGMENT_S) -> Outcome:
    """Records into `folder`, kills the process after so many seconds, and looks at what is left."""
    told = folder / "told.txt"
    archive = folder / "recordings"
    with recording(archive, segment_s, told) as process:
        run_for(process, told, seconds)
        process.send_signal(signal.SIGKILL)
        process.wait()
    return examine(archive, read_told(told))


def cut_power_at(folder: Path, seconds: float, segment_s: float = SEGMENT_S) -> Outcome:
    """Records into an ext4 of its own, copies that after so many seconds, and looks at what is on the copy."""
    image, copy, told = folder / "disk.img", folder / "copy.img", folder / "told.txt"
    with image.open("wb") as file:
        file.truncate(IMAGE_BYTES)
    subprocess.run(["mkfs.ext4", "-q", str(image)], check=True)
    with mounted(image, folder / "disk") as disk, recording(disk / "recordings", segment_s, told) as process:
        run_for(process, told, seconds)
        before = read_told(told)
        copy_as_it_is(image, copy)
    # Mounting plays the journal back, as after a power cut.
    with mounted(copy, folder / "found") as disk:
        return examine(disk / "recordings", before)


def copy_as_it_is(source: Path, target: Path) -> bool:
    """Copies a file as it is at one moment; returns whether that took no time."""
    with source.open("rb") as old, target.open("wb") as new:
        try:
            fcntl.ioctl(new.fileno(), FICLONE, old.fileno())
        except OSError:
            subprocess.run(["cp", "--sparse=always", str(source), str(target)], check=True)
            return False
    return True


@contextlib.contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    """Mounts a file system that lies in a file."""
    place.mkdir()
    subprocess.run(["mount", "-o", "loop", str(image), str(place)], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def examine(folder: Path, told: list[tuple[int, float]]) -> Outcome:
    """Opens a recording again, decodes every picture in it, and compares it with what was captured."""
    captured_ns = [captured for captured, _ in told]
    closed = {path.name for path in folder.glob("*.mp4")}
    archive = Archive(folder)
    archive.open()
    archive.close()
    if left := [path.name for path in folder.glob("*.part")]:
        raise RuntimeError(f"not repaired: {left}")
    pictures = lines = 0
    for segment in archive.segments():
        video, records = segment.path(VIDEO), segment.path(RECORDS)
        # Of a segment that has only just begun one of the two may be there and not the other.
        shown = decode(video) if video.exists() else 0
        noted = read_indexes(records) if records.exists() else []
        if noted != list(range(lines, lines + len(noted))):
            raise RuntimeError(f"{records.name}: records {noted[:3]}... do not follow on {lines}")
        if video.name in closed and shown != len(noted):
            raise RuntimeError(f"{video.name}: {shown} pictures, but {len(noted)} records")
        pictures, lines = pictures + shown, lines + len(noted)
    recovered = min(pictures, lines)
    last_ns = captured_ns[recovered - 1] if recovered else captured_ns[0]
    # On the copy there may be pictures that came while it was made.
    lost_s = (captured_ns[-1] - last_ns) / 1e9 if recovered < len(captured_ns) else 0.0
    return Outcome(len(captured_ns), recovered, len(closed), lost_s, told[-1][1])


def read_indexes(records: Path) -> list[int]:
    """Returns which pictures have a record."""
    return [json.loads(line)["index"] for line in records.read_text("utf-8").splitlines()]


def decode(video: Path) -> int:
    """Returns how many pictures a video has; raises RuntimeError unless every one can be decoded."""
    with av.open(str(video)) as container:
        packets = sum(1 for packet in container.demux(video=0) if packet.size)
    with av.open(str(video)) as container:
        stream = container.streams.video[0]
        # What is damaged is to be an error, not a grey patch.
        stream.codec_context.options = {"err_detect": "explode"}
        pictures = sum(1 for _ in container.decode(stream))
    if packets != pictures:
        raise RuntimeError(f"{video.name}: {packets} pictures, of which {pictures} can be decoded")
    return pictures


def main() -> None:
    if sys.argv[1:2] == ["--record"]:
        record(Path(sys.argv[2]), float(sys.argv[3]))
        return
    kills = int(sys.argv[1]) if len(sys.argv) > 1 else 50
    cuts = int(sys.argv[2]) if len(sys.argv) > 2 else 10
    moments = random.Random(5)
    print(f"{'':>6} {'after s':>8} {'captured':>9} {'recovered':>9} {'closed':>7} {'lost s':>7} {'exposed s':>10}")
    for what, count, cut in (("kill", kills, kill_at), ("power", cuts, cut_power_at)):
        worst = 0.0
        for _ in range(count):
            seconds = moments.uniform(0.2, 3 * SEGMENT_S)
            with tempfile.TemporaryDirectory() as folder:
                outcome = cut(Path(folder), seconds)
            worst = max(worst, outcome.lost_s)
            print(
                f"{what:>6} {seconds:8.2f} {outcome.captured:9} {outcome.recovered:9} {outcome.closed:7} "
                f"{outcome.lost_s:7.2f} {outcome.exposed_s:10.2f}",
                flush=True,
            )
        if count:
            print(f"{what}: {count} times, at most {worst:.2f} s lost", flush=True)


if __name__ == "__main__":
    main()
