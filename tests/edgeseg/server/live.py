"""Live pages for tests: cameras whose pictures a test publishes, and clients that talk to the page over sockets."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np

from edgeseg.corridor import PathConfig
from edgeseg.corridors import Corridors
from edgeseg.events import Events
from edgeseg.health import Health
from edgeseg.metrics import Metrics
from edgeseg.server.access_config import Access
from edgeseg.server.address import Address
from edgeseg.server.corridor_routes import corridor_routes
from edgeseg.server.feed import PictureFeed
from edgeseg.server.page import LivePage
from edgeseg.server.view import PageSink, View
from edgeseg.sinks.path import PathSink
from edgeseg.sinks.sink import Result, Sink
from tests.edgeseg.results import make_result

LIMIT_S = 20


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {LIMIT_S} seconds"
        time.sleep(0.02)


class Answer(NamedTuple):
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Camera:
    """A view, and what a run would do to it."""

    def __init__(self, name: str = "front", *, events: Events | None = None, stall_after_s: float = 5.0) -> None:
        self.metrics = Metrics(source=f"{name}.mp4")
        self.health = Health(stall_after_s=stall_after_s, events=events, camera=name)
        self.view = View(name, PictureFeed(), self.metrics, self.health)
        self.count = 0

    def publish(self, *, width: int = 320, height: int = 180) -> Result:
        result = make_result(self.count, width=width, height=height)
        self.count += 1
        self.metrics.count_captured(0, 1.0)
        self.metrics.count_segmented(result.segmentation, result.finished_ns)
        self.health.progressed(result.captured_ns)
        PageSink(self.view).write(result)
        return result


class Drive:
    """Publishes pictures of a camera, twenty a second, until it is paused or the block is left."""

    def __init__(self, camera: Camera, sinks: Sequence[Sink] = ()) -> None:
        """`sinks`, which are open, get them too."""
        self.camera, self.sinks = camera, sinks
        self.paused = threading.Event()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._publish)

    def _publish(self) -> None:
        while not self._stop.wait(0.05):
            if not self.paused.is_set():
                result = self.camera.publish(width=640, height=360)
                for sink in self.sinks:
                    sink.write(result)

    def lose(self, reason: str) -> None:
        """Stops the pictures, as a camera does that is unplugged."""
        self.paused.set()
        time.sleep(0.1)
        self.camera.health.lost(reason)

    def bring_back(self) -> None:
        self.camera.health.back()
        self.paused.clear()

    def __enter__(self) -> Drive:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


class Site:
    """A live page on a free port of this machine, with what asks it."""

    def __init__(
        self,
        *names: str,
        access: Access | None = None,
        token: str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        stall_after_s: float = 5.0,
        events: Events | None = None,
        **options: Any,
    ) -> None:
        self.events = events or Events()
        self.cameras = [Camera(name, events=self.events, stall_after_s=stall_after_s) for name in names or ("front",)]
        self.page = LivePage(
            Address(host, port),
            [camera.view for camera in self.cameras],
            events=self.events,
            access=access,
            token=token,
            **options,
        )
        self.cookie = ""

    def __enter__(self) -> Site:
        self.page.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self.page.__exit__(None, None, None)

    @property
    def port(self) -> int:
        return int(self.page.url.rpartition(":")[2])

    def publish(self, **options: Any) -> Result:
        return self.cameras[0].publish(**options)

    def ask(
        self,
        method: str,
        path: str,
        headers: Mapping[str, str] | None = None,
        body: str | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Answer:
        """Sends one request on a connection of its own, with the cookie of the last log-in."""
        made = (
            http.client.HTTPSConnection("127.0.0.1", self.port, timeout=10, context=tls)
            if tls
            else http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        )
        sent = {**({"Cookie": self.cookie} if self.cookie else {}), **(headers or {})}
        with contextlib.closing(made) as connection:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            return Answer(response.status, response.headers, response.read())

    def get(self, path: str, headers: Mapping[str, str] | None = None) -> Answer:
        return self.ask("GET", path, headers)

    def log_in(self, name: str = "", password: str = "", **headers: str) -> Answer:
        """Sends the form as a browser does and keeps the cookie."""
        origin = {"Origin": self.page.url, "Content-Type": "application/x-www-form-urlencoded"}
        answer = self.ask("POST", "/login", {**origin, **headers}, f"name={name}&password={password}")
        if answer.status == 303:
            self.cookie = answer.headers["Set-Cookie"].partition(";")[0]
        return answer

    def state(self, number: int = 0) -> dict[str, Any]:
        return dict(self.get("/api/state").json["cameras"][number])

    def wait_for_viewers(self, count: int) -> None:
        wait_until(lambda: self.state()["viewers"] == count)


class PathSite(Site):
    """A page of one camera that has a path; what is drawn is kept in `folder`."""

    def __init__(self, folder: Path | None, **options: Any) -> None:
        events = Events()
        self.path = PathSink(PathConfig(), events, "front")
        self.corridors = Corridors({"front": self.path}, folder, events)
        self.corridors.configure("front", PathConfig())
        super().__init__(events=events, routes=corridor_routes(self.corridors), **options)

    def change(self, method: str, body: object = None, camera: str = "front", **headers: str) -> Answer:
        text = body if isinstance(body, str) else json.dumps(body)
        return self.ask(method, f"/api/corridors/{camera}", {"Origin": self.page.url, **headers}, text)


class Viewer:
    """Reads the picture stream, or does not."""

    def __init__(
        self,
        port: int,
        path: str = "/stream.mjpg",
        *,
        headers: Mapping[str, str] | None = None,
        buffer: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.socket: socket.socket = socket.socket()
        if buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, buffer)
        self.socket.settimeout(10)
        self.socket.connect(("127.0.0.1", port))
        if tls is not None:
            self.socket = tls.wrap_socket(self.socket, server_hostname="localhost")
        lines = [f"GET {path} HTTP/1.0", "Host: localhost", *(f"{key}: {it}" for key, it in (headers or {}).items())]
        self.socket.sendall("\r\n".join([*lines, "", ""]).encode())
        self.file = self.socket.makefile("rb")

    def headers(self) -> dict[str, str]:
        lines = []
        while (line := self.file.readline().decode().strip()) != "":
            lines.append(line)
        return dict(line.lower().split(": ", 1) for line in lines if ": " in line)

    def parts(self) -> Iterator[tuple[dict[str, str], bytes]]:
        """Yields headers and body of each part once its closing boundary is there."""
        self.headers()
        if self.file.readline() != b"--edgeseg\r\n":
            return
        while head := self.headers():
            body = self.file.read(int(head["content-length"]))
            assert self.file.readline() == b"\r\n"
            assert self.file.readline() == b"--edgeseg\r\n"
            yield head, body

    def pictures(self) -> Iterator[np.ndarray]:
        """Yields each picture once its closing boundary is there, as a browser would show it."""
        return (decode(body) for _, body in self.parts())

    def __enter__(self) -> Viewer:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()


def decode(picture: bytes) -> np.ndarray:
    """Returns a JPEG as a BGR picture (H, W, 3)."""
    decoded = cv2.imdecode(np.frombuffer(picture, np.uint8), cv2.IMREAD_COLOR)
    assert decoded is not None
    return decoded
