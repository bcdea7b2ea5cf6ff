"""Where results go: a video, records, masks, a window. One file per kind; `open_sink` picks one."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from edgeseg.errors import UsageError
from edgeseg.sinks.sink import Sink

__all__ = ["SINK_HELP", "Sink", "choose_kind", "open_sink"]

SINK_HELP = "NAME.mp4 (overlay video), NAME.jsonl (one record a frame), masks:FOLDER (mask PNGs) or window:"


def choose_kind(uri: str) -> Literal["window", "masks", "video", "records"]:
    """Returns which kind of sink `uri` names. Raises UsageError when it is none."""
    kind, colon, rest = uri.partition(":")
    if kind == "window" and colon and not rest:
        return "window"
    if kind == "masks" and rest:
        return "masks"
    suffix = Path(uri).suffix.lower()
    if suffix == ".mp4":
        return "video"
    if suffix == ".jsonl":
        return "records"
    raise UsageError(f"{uri!r}: no such kind of output; give {SINK_HELP}")


def open_sink(uri: str) -> Sink:
    """Returns the sink that `uri` names; entering it as a context opens it.

    A path that ends in .mp4 or .jsonl, `masks:FOLDER`, or `window:`. Raises UsageError for anything else.
    """
    # Imported here, so that a run without a recording loads no encoder, and one without a window no GUI.
    kind = choose_kind(uri)
    if kind == "window":
        from edgeseg.sinks.window import WindowSink

        return WindowSink()
    if kind == "masks":
        from edgeseg.sinks.masks import MaskSink

        return MaskSink(Path(uri.partition(":")[2]))
    if kind == "video":
        from edgeseg.sinks.video import VideoSink

        return VideoSink(Path(uri))
    from edgeseg.sinks.jsonl import JsonlSink

    return JsonlSink(Path(uri))
