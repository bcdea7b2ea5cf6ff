"""Where results go: a video, records, masks, a window. One file per kind; `open_sink` picks one."""

from __future__ import annotations

from pathlib import Path

from edgeseg.errors import UsageError
from edgeseg.sinks.sink import Sink

__all__ = ["SINK_HELP", "Sink", "open_sink"]

SINK_HELP = "NAME.mp4 (overlay video), NAME.jsonl (one record a frame), masks:FOLDER (mask PNGs) or window:"


def open_sink(uri: str) -> Sink:
    """Returns the sink that `uri` names; entering it as a context opens it.

    A path that ends in .mp4 or .jsonl, `masks:FOLDER`, or `window:`. Raises UsageError for anything else.
    """
    # Imported here, so that a run without a recording loads no encoder, and one without a window no GUI.
    kind, colon, rest = uri.partition(":")
    if kind == "window" and colon and not rest:
        from edgeseg.sinks.window import WindowSink

        return WindowSink()
    if kind == "masks" and rest:
        from edgeseg.sinks.masks import MaskSink

        return MaskSink(Path(rest))
    suffix = Path(uri).suffix.lower()
    if suffix == ".mp4":
        from edgeseg.sinks.video import VideoSink

        return VideoSink(Path(uri))
    if suffix == ".jsonl":
        from edgeseg.sinks.jsonl import JsonlSink

        return JsonlSink(Path(uri))
    raise UsageError(f"{uri!r}: no such kind of output; give {SINK_HELP}")
