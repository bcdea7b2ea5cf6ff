"""A whole run on a disk that gets full: whoever watches sees pictures all the time, and the page says what goes on."""

from __future__ import annotations

import contextlib
import http.client
import json
import shutil
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.recording.name import VIDEO
from edgeseg.recording.segment import list_archive
from tests.edgeseg.program import LIMIT_S, count_frames, mount_disk, start_edgeseg
from tests.edgeseg.recording.waiting import wait_until
from tests.edgeseg.server.live import Viewer


class Page:
    """What somebody sees who watches, and what the page tells."""

    def __init__(self, port: int) -> None:
        self.port = port

    def events(self) -> list[dict[str, Any]]:
        try:
            with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=LIMIT_S)) as connection:
                connection.request("GET", "/api/events")
                return list(json.loads(connection.getresponse().read()))
        except OSError:
            # It is not up yet.
            return []

    def count(self, kind: str) -> int:
        return sum(event["kind"] == kind for event in self.events())


def _watch_until(pictures: Iterator[np.ndarray], true: Callable[[], bool]) -> int:
    """Watches until something has come about; returns how many other pictures came meanwhile."""
    deadline, count, before = time.monotonic() + LIMIT_S, 0, b""
    while not true():
        assert time.monotonic() < deadline, "it never came to be"
        for _ in range(5):
            picture = next(pictures).tobytes()
            count += picture != before
            before = picture
    return count


def _fill(file: Path, leave: int = 0) -> None:
    """Takes all the room there is, or all but `leave` bytes."""
    with contextlib.suppress(OSError), file.open("ab", buffering=0) as filler:
        while shutil.disk_usage(file.parent).free > leave:
            filler.write(bytes(4096))


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with mount_disk(tmp_path / "disk", 4) as folder:
        yield folder


def test_a_full_disk_costs_the_oldest_segments_and_no_picture_of_the_live_view(tmp_path: Path, disk: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        page = Page(probe.getsockname()[1])
    folder, config, filler = disk / "recordings", tmp_path / "edgeseg.yaml", disk / "filler"
    # Room for some seconds of the drawn drive, whose pictures are small.
    _fill(filler, leave=120_000)
    settings = {
        "source": "synthetic:320x240@15",
        "http": {"address": f"127.0.0.1:{page.port}"},
        "recording": {"folder": str(folder), "segment": "1s", "keep": {"free": "1kB"}},
        "event_log": {"path": str(tmp_path / "events.jsonl")},
        "heat": {"enabled": False},
    }
    config.write_text(json.dumps(settings), encoding="utf-8")
    with start_edgeseg("run", "--config", config) as process:
        wait_until(lambda: process.poll() is not None or list(folder.glob("*/*.mp4.part")))
        assert process.poll() is None, process.communicate()[1]
        with Viewer(page.port) as viewer:
            pictures = viewer.pictures()
            # The oldest segments go, one after the other.
            assert _watch_until(pictures, lambda: page.count("segment_deleted") >= 2) > 5
            assert page.count("disk_full") == 1
            gone = [
                name for it in page.events() if it["kind"] == "segment_deleted" for name in it["details"]["segments"]
            ]
            left = [str(it.name) for it in list_archive(folder).gather()]
            assert gone == sorted(gone)
            assert gone[0].startswith("00000001_")
            assert gone[-1] < left[0]

            def crowd_out() -> bool:
                _fill(filler)
                return page.count("disk_full") == 2

            # Others take all there is, and that of each old segment too: the recording pauses, and nothing else does.
            assert _watch_until(pictures, crowd_out) > 0
            assert page.count("recording_resumed") == 0
            assert [next(pictures).shape for _ in range(20)] == [(240, 320, 3)] * 20
            filler.unlink()
            assert _watch_until(pictures, lambda: page.count("recording_resumed") == 1) > 0
            recorded = len(list_archive(folder).gather())
            assert _watch_until(pictures, lambda: len(list_archive(folder).gather()) > recorded) > 0
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT_S) == 0, process.communicate()[1]
    segments = list_archive(folder).gather()
    assert all(count_frames(it.path(VIDEO)) for it in segments)
    assert list_archive(folder).parts == []
    said = [json.loads(line)["kind"] for line in (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()]
    assert [kind for kind in said if kind in ("disk_full", "recording_resumed")] == [
        "disk_full",
        "disk_full",
        "recording_resumed",
    ]
