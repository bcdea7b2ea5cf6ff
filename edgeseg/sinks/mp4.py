"""H.264 mp4 files as wholes: how they grow, and how they are joined and rewritten without encoding again."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import av.error

from edgeseg.sinks.files import flush_to_disk

#: MPEG's clock: every usual frame rate, 30000/1001 included, has a whole number of its ticks in a frame.
TIME_BASE = Fraction(1, 90_000)

#: Fragments of a second, playable up to the last one. Nothing of a fragment is kept once it is written: a run of days
#: takes no more memory than one of minutes. An index would cost 70 bytes a picture, and time when it is closed.
GROWING = {
    "movflags": "frag_keyframe+empty_moov+default_base_moof+skip_trailer",
    "frag_duration": "1000000",
    "flush_packets": "1",
}
#: The index before the pictures, so that a file also plays while it is being downloaded. Closing writes it all again.
INDEX_FIRST = {"movflags": "faststart"}
#: The index behind the pictures: closing takes no time, however long the file is.
INDEX_LAST: dict[str, str] = {}

#: A file up to this many bytes and pictures gets one index, at its front. Writing a longer one again when it is closed
#: could take longer than the three seconds in which a stopped run ends; it stays in fragments, which players play too.
LARGEST_INDEX_FIRST = 32 * 2**20
MOST_INDEX_FIRST = 10_000
#: On a board whose card is slow even that may take long: after this many seconds of copying it is given up.
COPY_LIMIT_S = 0.8


def ticks(nanoseconds: int) -> int:
    """Returns a span of time on MPEG's clock, rounded."""
    return round(Fraction(nanoseconds, 1_000_000_000) / TIME_BASE)


def index_at_front(path: Path, frames: int) -> None:
    """Rewrites a closed mp4 of so many frames, packets untouched, with one index before its pictures.

    Leaves it as it is when that would take long, or when the disk has too little room for a second copy: it plays all
    the same.
    """
    size = path.stat().st_size
    if size > LARGEST_INDEX_FIRST or frames > MOST_INDEX_FIRST or shutil.disk_usage(path.parent).free < 1.1 * size:
        return
    rewritten = path.with_name(path.name + ".front")
    end_s = time.monotonic() + COPY_LIMIT_S
    complete = False
    # Somebody else may have filled the disk, or a quota counts what disk_usage() does not know.
    with contextlib.suppress(OSError):
        complete = copy_packets([(path, 0)], rewritten, INDEX_FIRST, lambda: time.monotonic() > end_s)
    if complete:
        rewritten.replace(path)
    else:
        rewritten.unlink(missing_ok=True)


def is_mp4(path: Path) -> bool:
    """Returns whether a file is a video as far as its headers go."""
    try:
        with av.open(str(path)) as container:
            return bool(container.streams.video)
    except av.error.FFmpegError:
        return False


def join_mp4(parts: Sequence[tuple[Path, int]], target: Path, stopped: Callable[[], bool]) -> bool:
    """Joins mp4 files of one encoder into `target`, each moved to its nanosecond of the whole.

    Returns False, with no `target`, when `stopped()` says so on the way. Raises OSError when it cannot be written.
    """
    growing = target.with_name(target.name + ".part")
    short = sum(path.stat().st_size for path, _ in parts) <= LARGEST_INDEX_FIRST
    offsets = [(path, ticks(at_ns)) for path, at_ns in parts]
    complete = False
    try:
        complete = copy_packets(offsets, growing, INDEX_FIRST if short else INDEX_LAST, stopped)
    finally:
        if not complete:
            growing.unlink(missing_ok=True)
    if complete:
        flush_to_disk(growing)
        growing.replace(target)
    return complete


def copy_packets(
    parts: Sequence[tuple[Path, int]],
    target: Path,
    options: dict[str, str],
    stopped: Callable[[], bool] = lambda: False,
) -> bool:
    """Copies the pictures of every part, its times moved by so many ticks; returns False when `stopped()` says so."""
    with av.open(str(target), "w", format="mp4", options=options) as container:
        copy = None
        for path, offset in parts:
            with av.open(str(path)) as part:
                pictures = part.streams.video[0]
                if copy is None:
                    copy = container.add_stream_from_template(pictures)
                for packet in part.demux(pictures):
                    # The demuxer ends with an empty packet, meant for a decoder.
                    if packet.dts is None or packet.pts is None:
                        continue
                    if stopped():
                        return False
                    packet.pts += offset
                    packet.dts += offset
                    packet.stream = copy
                    container.mux(packet)
    return True
