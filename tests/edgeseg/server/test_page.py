"""LivePage over real sockets: what it answers, who it serves, and that no viewer can hold up the run."""

from __future__ import annotations

import contextlib
import http.client
import itertools
import json
import logging
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import pytest

from edgeseg.errors import SinkUnavailableError, UsageError
from edgeseg.health import Health
from edgeseg.metrics import Metrics
from edgeseg.server import page as page_module
from edgeseg.server.address import Address
from edgeseg.server.page import LivePage
from edgeseg.sinks.sink import Result
from tests.edgeseg.results import make_result


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes


class Run:
    """A live page and the counters that a run would feed."""

    def __init__(self, **options: Any) -> None:
        self.metrics = Metrics(source="drive.mp4")
        self.health = Health()
        self.page = LivePage(Address(port=0), metrics=self.metrics, health=self.health, **options)
        self.count = 0

    @property
    def port(self) -> int:
        return int(self.page.url.rpartition(":")[2])

    def publish(self, *, width: int = 320, height: int = 180) -> Result:
        result = make_result(self.count, width=width, height=height)
        self.count += 1
        self.metrics.count_captured(0, 1.0)
        self.metrics.count_segmented(result.segmentation, result.finished_ns)
        self.health.progressed(result.captured_ns)
        self.page.write(result)
        return result

    def get(self, path: str) -> Answer:
        with contextlib.closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)) as connection:
            connection.request("GET", path)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def state(self) -> dict[str, Any]:
        return dict(json.loads(self.get("/api/state").body))

    def wait_for_viewers(self, count: int) -> None:
        _wait(lambda: self.state()["viewers"] == count)


class Viewer:
    """Reads the picture stream, or does not."""

    def __init__(self, port: int, *, buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        self.socket.sendall(b"GET /stream.mjpg HTTP/1.0\r\n\r\n")
        self.file = self.socket.makefile("rb")

    def headers(self) -> dict[str, str]:
        lines = []
        while (line := self.file.readline().decode().strip()) != "":
            lines.append(line)
        return dict(line.lower().split(": ", 1) for line in lines if ": " in line)

    def pictures(self) -> Iterator[np.ndarray]:
        """Yields each picture once its closing boundary is there, as a browser would show it."""
        self.headers()
        assert self.file.readline() == b"--edgeseg\r\n"
        while head := self.headers():
            jpeg = self.file.read(int(head["content-length"]))
            assert self.file.readline() == b"\r\n"
            assert self.file.readline() == b"--edgeseg\r\n"
            picture = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
            assert picture is not None
            yield picture

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()


def _wait(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "it did not happen within twenty seconds"
        time.sleep(0.02)


@pytest.fixture
def run() -> Iterator[Run]:
    run = Run()
    with run.page:
        yield run


@pytest.mark.parametrize(
    ("path", "kind", "holds"),
    [
        ("/", "text/html", b"<title>edgeseg"),
        ("/page.css", "text/css", b":root"),
        ("/page.js", "text/javascript", b"poll"),
    ],
)
def test_the_page_and_its_parts(run: Run, path: str, kind: str, holds: bytes) -> None:
    answer = run.get(path)
    assert answer.status == 200
    assert answer.headers["Content-Type"] == f"{kind}; charset=utf-8"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert holds in answer.body


@pytest.mark.parametrize(
    "path", ["/nothing", "/../page.py", "/static/../../page.py", "/%2e%2e/page.py", "//etc/passwd"]
)
def test_nothing_else_is_served(run: Run, path: str) -> None:
    answer = run.get(path)
    assert answer.status == 404
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


def test_the_state_before_the_first_picture(run: Run) -> None:
    state = run.state()
    assert (state["source"], state["state"], state["fps"]) == ("drive.mp4", "starting", 0)
    assert state["age_ms"] is None
    assert state["picture_age_s"] is None
    assert [item["share"] for item in state["classes"]] == [None] * 4
    assert run.get("/snapshot.jpg").status == 503


def test_the_state_of_a_run(run: Run) -> None:
    for _ in range(3):
        result = run.publish()
    state = run.state()
    assert state["state"] == "running"
    assert state["fps"] > 0
    assert 0 <= state["age_ms"] < 10_000
    assert state["picture_age_s"] >= 0
    assert state["frames"] == {"in": 3, "segmented": 3, "dropped": 0}
    assert state["timings_ms"] == {"inference": 4.5}
    assert state["rss_bytes"] > 10_000_000
    shown = {item["name"]: item["share"] for item in state["classes"]}
    assert shown == pytest.approx(result.segmentation.shares)
    assert [item["color"] for item in state["classes"]] == ["#000000", "#26be78", "#2d78ff", "#ff9614"]


def test_health_follows_the_loop(run: Run) -> None:
    answer = run.get("/healthz")
    assert (answer.status, json.loads(answer.body)) == (503, {"state": "starting"})
    run.publish()
    answer = run.get("/healthz")
    assert (answer.status, json.loads(answer.body)) == (200, {"state": "running"})
    run.health.stall_after_s = 0.0
    answer = run.get("/healthz")
    assert (answer.status, json.loads(answer.body)) == (503, {"state": "stalled"})


def test_a_snapshot_is_the_newest_overlay_at_full_size(run: Run) -> None:
    run.publish()
    result = run.publish(width=1920, height=1080)
    answer = run.get("/snapshot.jpg")
    assert answer.headers["Content-Type"] == "image/jpeg"
    picture = cv2.imdecode(np.frombuffer(answer.body, np.uint8), cv2.IMREAD_COLOR)
    assert picture is not None
    assert picture.shape == (1080, 1920, 3)
    assert cv2.PSNR(picture, result.overlay()) > 30


def test_a_viewer_sees_every_picture_it_keeps_up_with(run: Run) -> None:
    with Viewer(run.port) as viewer:
        run.wait_for_viewers(1)
        pictures = viewer.pictures()
        for _ in range(5):
            result = run.publish()
            assert cv2.PSNR(next(pictures), result.overlay()) > 30


def test_many_viewers_cost_one_encoding_a_picture(run: Run) -> None:
    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(Viewer(run.port)).pictures() for _ in range(10)]
        run.wait_for_viewers(10)
        for _ in range(5):
            run.publish()
            for stream in streams:
                next(stream)
        assert run.state()["pictures_encoded"] == 5


def test_a_stalled_viewer_delays_neither_the_run_nor_the_others(run: Run) -> None:
    with Viewer(run.port, buffer=4096) as stalled, Viewer(run.port) as quick:
        run.wait_for_viewers(2)
        pictures = quick.pictures()
        for _ in range(60):
            # Large enough that a few of them fill every buffer on the way to the one that does not read.
            run.publish(width=1280, height=720)
            assert next(pictures).shape == (720, 1280, 3)
        run.publish(width=64, height=36)
        # It comes back: a few old pictures were on their way to it, then it is at the newest.
        old = list(itertools.takewhile(lambda picture: picture.shape != (36, 64, 3), stalled.pictures()))
        assert 1 <= len(old) < 15


def test_a_viewer_that_leaves_is_let_go_without_waiting_for_a_picture(run: Run) -> None:
    with Viewer(run.port):
        run.wait_for_viewers(1)
    run.wait_for_viewers(0)


def test_closing_ends_the_streams_and_frees_the_port() -> None:
    run = Run()
    with contextlib.ExitStack() as stack:
        with run.page:
            reading = stack.enter_context(Viewer(run.port))
            stack.enter_context(Viewer(run.port, buffer=4096))
            run.wait_for_viewers(2)
            port = run.port
            for _ in range(20):
                run.publish(width=1280, height=720)
        assert b"image/jpeg" in reading.file.read()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port), timeout=5)
        again = stack.enter_context(socket.socket())
        again.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        again.bind(("127.0.0.1", port))


def test_a_stalled_viewer_is_given_up_after_a_while(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.server.routes.STALLED_VIEWER_S", 0.2)
    with Viewer(run.port, buffer=4096):
        run.wait_for_viewers(1)

        def given_up() -> bool:
            run.publish(width=1280, height=720)
            return bool(run.state()["viewers"] == 0)

        _wait(given_up)


def test_a_port_in_use_is_told_in_one_line(run: Run) -> None:
    other = LivePage(Address(port=run.port), metrics=run.metrics, health=run.health)
    with pytest.raises(SinkUnavailableError, match=f"http://127.0.0.1:{run.port}: the port is in use; ") as caught:
        other.__enter__()
    assert "\n" not in str(caught.value)


def test_an_address_of_another_machine_is_told_in_one_line() -> None:
    page = LivePage(Address("192.0.2.1", 0), metrics=Metrics(), health=Health(), allow_remote=True)
    with pytest.raises(SinkUnavailableError, match=r"192\.0\.2\.1:0: this machine has no such address"):
        page.__enter__()


def test_a_host_that_can_be_none_is_told_in_one_line() -> None:
    page = LivePage(Address("a..b", 8080), metrics=Metrics(), health=Health(), allow_remote=True)
    with pytest.raises(UsageError, match=r"http://a\.\.b:8080: 'a\.\.b' is no host name") as caught, page:
        pass
    assert "\n" not in str(caught.value)


def test_a_page_for_everybody_is_refused_without_a_login() -> None:
    page = LivePage(Address("0.0.0.0", 8080), metrics=Metrics(), health=Health())
    with pytest.raises(UsageError, match=r"0\.0\.0\.0:8080.*no login.*ssh -L 8080:127\.0\.0\.1:8080") as caught:
        page.__enter__()
    assert "\n" not in str(caught.value)


def test_a_page_for_everybody_warns_when_it_was_asked_for(caplog: pytest.LogCaptureFixture) -> None:
    page = LivePage(Address("0.0.0.0", 0), metrics=Metrics(), health=Health(), allow_remote=True)
    with caplog.at_level(logging.WARNING, page_module.__name__), page:
        pass
    assert "everybody who can reach this machine can watch" in caplog.text


def test_the_static_files_lie_in_the_package() -> None:
    static = Path(page_module.__file__).parent / "static"
    assert sorted(path.name for path in static.iterdir()) == ["index.html", "page.css", "page.js"]
