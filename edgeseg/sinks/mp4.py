"""H.264 mp4 files as wholes: how they grow, and how they are joined and rewritten without encoding again."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path

import av

#: MPEG's clock: every usual frame rate, 30000/1001 included, has a whole number of its ticks in a frame.
TIME_BASE = Fraction(1, 90_000)

#: Fragments of a second while the file grows, playable up to the last one; an ordinary mp4 once it is closed.
GROWING = {"movflags": "hybrid_fragmented", "frag_duration": "1000000", "flush_packets": "1"}
#: The index before the pictures, so that a file also plays while it is being downloaded. Closing writes it all again.
INDEX_FIRST = {"movflags": "faststart"}

#: A file up to this many bytes gets its index moved to the front when it is closed. Rewriting a longer one could take
#: longer than a service manager waits for an exit; players then read its index from the end.
LARGEST_INDEX_FIRST = 64 * 2**20


def ticks(nanoseconds: int) -> int:
    """Returns a span of time on MPEG's clock, rounded."""
    return round(Fraction(nanoseconds, 1_000_000_000) / TIME_BASE)


def move_index_to_front(path: Path) -> None:
    """Rewrites a closed mp4, packets untouched, with its index before its pictures.

    Leaves it as it is when it is too long for that, or when the disk has too little room for a second copy: it plays
    all the same once it is complete.
    """
    size = path.stat().st_size
    if size > LARGEST_INDEX_FIRST or shutil.disk_usage(path.parent).free < 1.1 * size:
        return
    rewritten = path.with_name(path.name + ".front")
    try:
        copy_packets([(path, 0)], rewritten, INDEX_FIRST)
        rewritten.replace(path)
    except OSError:
        # Somebody else has filled the disk, or a quota counts what disk_usage() does not know.
        rewritten.unlink(missing_ok=True)


def join_mp4(parts: Sequence[tuple[Path, int]], target: Path, stopped: Callable[[], bool]) -> bool:
    """Joins mp4 files of one encoder into `target`, each moved to its nanosecond of the whole.

    Returns False, with no `target`, when `stopped()` says so on the way. Raises OSError when it cannot be written.
    """
    growing = target.with_name(target.name + ".part")
    short = sum(path.stat().st_size for path, _ in parts) <= LARGEST_INDEX_FIRST
    offsets = [(path, ticks(at_ns)) for path, at_ns in parts]
    complete = False
    try:
        complete = copy_packets(offsets, growing, INDEX_FIRST if short else GROWING, stopped)
    finally:
        if not complete:
            growing.unlink(missing_ok=True)
    if complete:
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
