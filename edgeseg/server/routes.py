"""What the live page answers: the page itself, the picture stream, a snapshot, the state and the health."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from importlib import resources
from typing import Any

from aiohttp import web

from edgeseg.classes import CLASSES, SegmentClass
from edgeseg.health import Health
from edgeseg.metrics import Metrics
from edgeseg.server.feed import PictureFeed, encode_jpeg

BOUNDARY = b"edgeseg"
#: A viewer that takes nothing for this long is gone, whatever its connection says.
STALLED_VIEWER_S = 30.0
#: Bytes the kernel may hold for a viewer. Left to itself it grows the buffer to megabytes: seconds of old pictures.
SEND_BUFFER = 128 * 1024

STATIC = {
    "/": ("index.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/page.js": ("page.js", "text/javascript"),
}

PROTECTION = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'self'",
    "X-Content-Type-Options": "nosniff",
}

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def build_app(
    feed: PictureFeed, metrics: Metrics, health: Health, classes: tuple[SegmentClass, ...] = CLASSES
) -> web.Application:
    """Returns the web application over one run's pictures, counters and health."""

    async def stream(request: web.Request) -> web.StreamResponse:
        return await _stream(request, feed)

    async def snapshot(request: web.Request) -> web.StreamResponse:
        newest = feed.newest
        if newest is None:
            raise web.HTTPServiceUnavailable(text="no picture yet\n")
        loop = asyncio.get_running_loop()
        jpeg = await loop.run_in_executor(None, lambda: encode_jpeg(newest.overlay()))
        return web.Response(body=jpeg, content_type="image/jpeg", headers={"Cache-Control": "no-store"})

    async def state(request: web.Request) -> web.StreamResponse:
        return web.json_response(describe_state(feed, metrics, health, classes), headers={"Cache-Control": "no-store"})

    async def healthz(request: web.Request) -> web.StreamResponse:
        now = health.state()
        return web.json_response({"state": now}, status=200 if now == "running" else 503)

    app = web.Application(middlewares=[_protect])
    for path, (name, kind) in STATIC.items():
        app.router.add_get(path, _static(name, kind))
    app.router.add_get("/stream.mjpg", stream)
    app.router.add_get("/snapshot.jpg", snapshot)
    app.router.add_get("/api/state", state)
    app.router.add_get("/healthz", healthz)
    return app


def describe_state(
    feed: PictureFeed, metrics: Metrics, health: Health, classes: tuple[SegmentClass, ...]
) -> dict[str, Any]:
    """Returns what the page shows beside the picture, as JSON-ready values; None where nothing is known yet."""
    newest = feed.newest
    summary = metrics.summary()
    shares = metrics.recent_shares()
    vitals = health.snapshot()
    return {
        "source": metrics.source,
        "state": vitals["state"],
        "picture_age_s": vitals["picture_age_s"],
        "rss_bytes": vitals["rss_bytes"],
        "fps": metrics.recent_fps(),
        "age_ms": None if newest is None else (newest.finished_ns - newest.captured_ns) / 1e6,
        "age_percentiles_ms": summary.age_ms,
        "timings_ms": {} if newest is None else dict(newest.segmentation.timings),
        "frames": {"in": summary.frames_in, "segmented": summary.segmented, "dropped": summary.dropped},
        "viewers": feed.viewers,
        "pictures_encoded": feed.encoded_count,
        "classes": [{"name": item.name, "color": item.color_hex, "share": shares.get(item.name)} for item in classes],
    }


async def _stream(request: web.Request, feed: PictureFeed) -> web.StreamResponse:
    response = web.StreamResponse(
        headers={
            "Content-Type": f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}",
            "Cache-Control": "no-store",
        }
    )
    transport = request.transport
    assert transport is not None, "a request that has just come has a connection"
    connection: socket.socket = transport.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
    complete = False
    try:
        await response.prepare(request)
        await response.write(b"--" + BOUNDARY + b"\r\n")
        async with aclosing(feed.pictures()) as pictures:
            async for jpeg in pictures:
                head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
                # The closing boundary goes with its picture: browsers show a part when they meet the next boundary.
                part = head + jpeg + b"\r\n--" + BOUNDARY + b"\r\n"
                await asyncio.wait_for(_send(response, transport, part), STALLED_VIEWER_S)
        complete = True
    except (asyncio.TimeoutError, ConnectionError):
        # The viewer has gone, or might as well have.
        pass
    finally:
        if not complete:
            # An ordinary close would wait until the viewer has taken what was written.
            transport.abort()
    return response


async def _send(response: web.StreamResponse, transport: asyncio.Transport, part: bytes) -> None:
    """Returns when the kernel has all of `part`: the picture that is taken next is then the newest.

    aiohttp by itself waits only once 64 KiB have piled up, which may be several pictures.
    """
    await response.write(part)
    while transport.get_write_buffer_size():
        await asyncio.sleep(0.01)


def _static(name: str, content_type: str) -> Handler:
    # Read once: there are three small files, and no path from a request ever reaches the disk.
    body = (resources.files("edgeseg.server") / "static" / name).read_bytes()

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=body, content_type=content_type, charset="utf-8", headers={"Cache-Control": "no-cache"}
        )

    return answer


@web.middleware
async def _protect(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Tells the browser to load nothing from elsewhere and to guess no content types."""
    try:
        response = await handler(request)
    except web.HTTPException as refusal:
        refusal.headers.update(PROTECTION)
        raise
    if not response.prepared:
        response.headers.update(PROTECTION)
    return response
