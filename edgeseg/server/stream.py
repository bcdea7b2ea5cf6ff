"""The picture stream: JPEG pictures one after the other in one answer, which every browser shows in an <img>."""

from __future__ import annotations

from aiohttp import web

from edgeseg.server.broadcast import Watch
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
        while (jpeg := await watch.next()) is not None and grant.holds:
            head = b"Content-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n" % len(jpeg)
            # The closing boundary goes with its picture: browsers show a part when they meet the next boundary.
            await response.write(head + jpeg + b"\r\n--" + BOUNDARY + b"\r\n")
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
