"""The picture stream: JPEG pictures one after the other in one answer, which every browser shows in an <img>."""

from __future__ import annotations

import time

from aiohttp import web

from edgeseg.server.broadcast import Picture, Watch
from edgeseg.server.connections import Connection
from edgeseg.server.guard import Grant

BOUNDARY = b"edgeseg"


async def send_stream(request: web.Request, watch: Watch, grant: Grant) -> web.StreamResponse:
    """Answers with what `watch` gives until it ends, the viewer leaves or `grant` no longer holds."""
    connection = Connection.of(request)
    response = web.StreamResponse(
        headers={
            "Content-Type": f"multipart/x-mixed-replace; boundary={BOUNDARY.decode()}",
            "Cache-Control": "no-store",
        }
    )
    complete = False
    try:
        await response.prepare(request)
        await response.write(b"--" + BOUNDARY + b"\r\n")
        while (picture := await watch.next()) is not None and grant.holds:
            # The closing boundary goes with its picture: browsers show a part when they meet the next boundary.
            await response.write(_head(picture) + picture.jpeg + b"\r\n--" + BOUNDARY + b"\r\n")
            await connection.drain()
        complete = True
    except ConnectionError:
        # The viewer has gone.
        pass
    finally:
        if not complete:
            # An ordinary close would wait until the viewer has taken what was written.
            connection.abort()
    return response


def _head(picture: Picture) -> bytes:
    """The part's headers; with its age when it is sent, and the time then, by which a viewer knows a slow way."""
    now_ns = time.monotonic_ns()
    lines = [
        b"Content-Type: image/jpeg",
        b"Content-Length: %d" % len(picture.jpeg),
        b"X-Time-Ms: %d" % (now_ns // 10**6),
    ]
    if picture.captured_ns is not None:
        lines.append(b"X-Age-Ms: %d" % ((now_ns - picture.captured_ns) // 10**6))
    return b"\r\n".join(lines) + b"\r\n\r\n"
