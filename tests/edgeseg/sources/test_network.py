"""NetworkSource on real servers: RTSP by GStreamer, HTTP and UDP by what Python and libav have."""

from __future__ import annotations

import contextlib
import itertools
import socket
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import av
import cv2
import pytest

from edgeseg.errors import SourceUnavailableError, UsageError
from edgeseg.frame import Frame
from edgeseg.sources import open_source
from edgeseg.sources.network import NetworkSource
from edgeseg.sources.source import SourceDeniedError, SourceSilentError
from edgeseg.sources.stream_address import StreamAddress
from tests.edgeseg.clips import number_of, numbered_picture, write_clip
from tests.edgeseg.program import run_edgeseg
from tests.rtsp import RtspServer, read_moment_ms, why_no_server
from tests.server_process import find_port

PASSWORD = "hunter2"


def source_of(url: str, **limits: float) -> NetworkSource:
    return NetworkSource(StreamAddress.parse(url), **limits)


def take(source: NetworkSource, count: int) -> list[Frame]:
    frames = [source.read() for _ in range(count)]
    assert all(frames)
    return [frame for frame in frames if frame]


def drain(source: NetworkSource) -> None:
    """Reads it to its end; no picture may be one that was held back while nothing came."""
    while (frame := source.read()) is not None:
        assert time.monotonic_ns() - frame.captured_ns < 5e8


def open_and_drain(source: NetworkSource) -> None:
    with source:
        drain(source)


def follow(numbers: list[int]) -> bool:
    """Whether each of the numbers that pictures show is the next one."""
    return all((later - earlier) % 28 == 1 for earlier, later in itertools.pairwise(numbers))


def said_by(source: NetworkSource) -> SourceUnavailableError:
    """What opening and reading it raises."""
    with pytest.raises(SourceUnavailableError) as raised:
        open_and_drain(source)
    assert PASSWORD not in "".join(traceback.format_exception(raised.value))
    return raised.value


@pytest.fixture(scope="module")
def rtsp() -> Iterator[RtspServer]:
    if (why_not := why_no_server()) is not None:
        pytest.skip(why_not)
    with RtspServer() as server:
        yield server


@pytest.mark.server
class TestRtsp:
    def test_pictures_come_in_order_each_with_the_moment_it_arrived(self, rtsp: RtspServer) -> None:
        with source_of(rtsp.url) as source:
            frames = take(source, 20)
            now_ms = time.monotonic_ns() / 1e6
        drawn_ms = [read_moment_ms(frame.image) for frame in frames]
        came_ms = [frame.captured_ns / 1e6 for frame in frames]
        assert [frame.index for frame in frames] == list(range(20))
        assert drawn_ms == sorted(set(drawn_ms))
        assert all(drawn <= came + 1 and came <= now_ms for drawn, came in zip(drawn_ms, came_ms, strict=True))
        assert {frame.size_wh for frame in frames} == {(640, 360)}
        assert {frame.source for frame in frames} == {source.name} == {rtsp.url}
        assert source.fps == 25

    def test_the_first_picture_is_no_old_one(self, rtsp: RtspServer) -> None:
        began_ms = time.monotonic_ns() // 1_000_000
        with source_of(rtsp.url) as source:
            opened_ms = time.monotonic_ns() // 1_000_000
            (frame,) = take(source, 1)
        # While it was opened pictures came too; they are of the past by now.
        assert began_ms < read_moment_ms(frame.image)
        assert opened_ms - 100 < read_moment_ms(frame.image)

    def test_a_slow_reader_gets_the_present(self, rtsp: RtspServer) -> None:
        with open_source(rtsp.url, live=True) as source:
            first = source.read()
            time.sleep(1.5)
            second = source.read()
        assert first is not None
        assert second is not None
        # A queue would hold the next one, 40 ms later.
        assert read_moment_ms(second.image) - read_moment_ms(first.image) > 750
        assert second.index - first.index > 10

    def test_what_can_be_wrong_is_told_apart(self, rtsp: RtspServer) -> None:
        wrong_path = said_by(source_of(rtsp.url.replace("/drive", "/garden")))
        assert str(wrong_path) == f"rtsp://127.0.0.1:{rtsp.port}/garden: there is no such stream (404); check the path"
        not_tls = said_by(source_of(rtsp.url.replace("rtsp:", "rtsps:")))
        assert "no secure connection (TLS) can be made" in str(not_tls)
        not_http = said_by(source_of(rtsp.url.replace("rtsp:", "http:")))
        assert "cannot be read as a stream" in str(not_http)

    def test_a_server_that_falls_silent_or_dies(self) -> None:
        if (why_not := why_no_server()) is not None:
            pytest.skip(why_not)
        with RtspServer() as server, source_of(server.url, read_s=0.5) as source:
            take(source, 5)
            server.stall()
            with pytest.raises(SourceSilentError, match=r"has sent nothing for 0\.5 s"):
                drain(source)
        with RtspServer() as server, source_of(server.url) as source:
            take(source, 5)
            server.kill()
            with pytest.raises(SourceUnavailableError, match=r"the connection (was closed|broke)"):
                drain(source)

    def test_a_wrong_password_is_told_and_none_is_ever_shown(self, tmp_path: Path) -> None:
        if (why_not := why_no_server()) is not None:
            pytest.skip(why_not)
        with RtspServer(f"admin:{PASSWORD}") as server:
            for url in (server.url.replace("admin:", "admin:x"), server.url.replace(f"admin:{PASSWORD}@", "")):
                denied = said_by(source_of(url))
                assert isinstance(denied, SourceDeniedError)
                assert "refuses the user name or password" in str(denied)
            records = tmp_path / "out.jsonl"
            result = run_edgeseg("run", server.url, "--duration", "1s", "--save", records)
        assert result.returncode == 0
        written = result.stdout + result.stderr + records.read_text()
        assert PASSWORD not in written
        assert f"rtsp://***@127.0.0.1:{server.port}/drive" in written


def test_nobody_there_and_nobody_known() -> None:
    port = find_port()
    refused = said_by(source_of(f"rtsp://admin:{PASSWORD}@127.0.0.1:{port}/x"))
    assert str(refused) == (
        f"rtsp://***@127.0.0.1:{port}/x: nothing listens on port {port}; is it on, is the port right?"
    )
    unknown = said_by(source_of(f"rtsp://admin:{PASSWORD}@nobody.invalid/x"))
    assert "nobody knows that host name" in str(unknown)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_takes_the_call_and_says_nothing(scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        silent = said_by(source_of(f"{scheme}://admin:{PASSWORD}@127.0.0.1:{server.getsockname()[1]}/", open_s=0.3))
    assert isinstance(silent, SourceSilentError)
    assert "has not answered for 0.3 s" in str(silent)


# HTTP and UDP.

Serve = Callable[[BaseHTTPRequestHandler], None]


@contextlib.contextmanager
def http_server(serve: Serve) -> Iterator[str]:
    """A web server whose every answer `serve` writes; gives its address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            # Whoever reads may leave in the middle.
            with contextlib.suppress(OSError):
                serve(self)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def answer(handler: BaseHTTPRequestHandler, kind: str, length: int | None = None) -> None:
    handler.send_response(200)
    handler.send_header("Content-Type", kind)
    if length is not None:
        handler.send_header("Content-Length", str(length))
    handler.end_headers()


def serve_mjpeg(handler: BaseHTTPRequestHandler) -> None:
    """As network cameras and our own page do."""
    answer(handler, "multipart/x-mixed-replace; boundary=frame")
    for index in range(28):
        jpeg = cv2.imencode(".jpg", numbered_picture(index, 320, 240))[1].tobytes()
        head = f"--frame\r\nContent-Type: image/jpeg\r\nContent-Length: {len(jpeg)}\r\n\r\n"
        handler.wfile.write(head.encode() + jpeg + b"\r\n")
        time.sleep(0.03)


def test_mjpeg_over_http() -> None:
    with http_server(serve_mjpeg) as url, source_of(f"{url}/stream.mjpg?token={PASSWORD}") as source:
        frames = take(source, 10)
        numbers = [number_of(frame.image) for frame in frames]
        assert follow(numbers)
        assert {frame.size_wh for frame in frames} == {(320, 240)}
        assert source.name == f"{url}/stream.mjpg?token=***"
        with pytest.raises(SourceUnavailableError, match=r"the connection (was closed|broke)"):
            drain(source)


def test_a_transport_stream_over_http(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.ts", 50, width=320, height=240).read_bytes()

    def serve(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, "video/mp2t")
        step = len(clip) // 50 // 188 * 188
        for start in range(0, len(clip), step):
            handler.wfile.write(clip[start : start + step])
            time.sleep(0.02)

    with http_server(serve) as url, source_of(url) as source:
        numbers = [number_of(frame.image) for frame in take(source, 10)]
    assert follow(numbers)


def test_a_recording_is_no_live_stream(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", 50, faststart=True).read_bytes()

    def serve(handler: BaseHTTPRequestHandler) -> None:
        answer(handler, "video/mp4", len(clip))
        handler.wfile.write(clip)

    with http_server(serve) as url:
        with pytest.raises(UsageError, match="is a recording of 2 s, no live stream; download it"):
            source_of(url).__enter__()
        # Waiting for it would be in vain, so it ends a run that waits for cameras too.
        with open_source(url, live=True, wait_for_it=True) as source, pytest.raises(UsageError, match="is a recording"):
            source.read()


def test_a_page_that_is_no_stream_and_one_that_asks_for_a_password() -> None:
    def serve(handler: BaseHTTPRequestHandler) -> None:
        if handler.path == "/locked":
            handler.send_error(401)
        else:
            answer(handler, "text/html")
            handler.wfile.write(b"<html>Welcome to your camera</html>")

    with http_server(serve) as url:
        assert "cannot be read as a stream" in str(said_by(source_of(f"{url}/")))
        assert isinstance(said_by(source_of(f"{url}/locked")), SourceDeniedError)


def test_a_transport_stream_over_udp() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    ended = threading.Event()

    def send() -> None:
        options = {"pkt_size": "1316"}
        with av.open(f"udp://127.0.0.1:{port}", "w", format="mpegts", container_options=options) as target:
            stream = target.add_stream("libx264", rate=25, options={"preset": "ultrafast", "tune": "zerolatency"})
            stream.width, stream.height, stream.pix_fmt, stream.gop_size = 320, 240, "yuv420p", 10
            for index in range(1000):
                frame = av.VideoFrame.from_ndarray(numbered_picture(index, 320, 240), format="bgr24")
                target.mux(stream.encode(frame))
                if ended.wait(0.02):
                    return

    sender = threading.Thread(target=send)
    sender.start()
    try:
        with source_of(f"udp://127.0.0.1:{port}") as source:
            numbers = [number_of(frame.image) for frame in take(source, 10)]
    finally:
        ended.set()
        sender.join()
    assert follow(numbers)


def test_a_stream_nobody_sends() -> None:
    silent = said_by(source_of("udp://127.0.0.1:45454", open_s=0.3))
    assert isinstance(silent, SourceSilentError)
