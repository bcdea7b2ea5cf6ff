"""open_sink(): which sink a name means."""

from __future__ import annotations

import pytest

from edgeseg.errors import UsageError
from edgeseg.sinks import open_sink
from edgeseg.sinks.jsonl import JsonlSink
from edgeseg.sinks.masks import MaskSink
from edgeseg.sinks.video import VideoSink
from edgeseg.sinks.window import WindowSink


@pytest.mark.parametrize(
    ("uri", "kind", "name"),
    [
        ("out/drive.mp4", VideoSink, "out/drive.mp4"),
        ("/tmp/Ärger mit Blank/DRIVE.MP4", VideoSink, "/tmp/Ärger mit Blank/DRIVE.MP4"),
        ("a:b.mp4", VideoSink, "a:b.mp4"),
        ("drive.jsonl", JsonlSink, "drive.jsonl"),
        ("masks:out/m", MaskSink, "out/m"),
        ("window:", WindowSink, "window:"),
    ],
)
def test_a_name_means_one_kind(uri: str, kind: type, name: str) -> None:
    sink = open_sink(uri)
    assert type(sink) is kind
    assert sink.name == name


@pytest.mark.parametrize("uri", ["drive.avi", "drive", "", "masks:", "window", "mp4", "http://x/drive"])
def test_anything_else_is_refused_with_what_there_is(uri: str) -> None:
    with pytest.raises(UsageError, match=r"NAME\.mp4.*NAME\.jsonl.*masks:FOLDER.*window:") as caught:
        open_sink(uri)
    assert repr(uri) in str(caught.value)
