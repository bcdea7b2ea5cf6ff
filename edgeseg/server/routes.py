"""What the live page answers: the page itself, pictures, the state, and the health."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import resources
from typing import TYPE_CHECKING

from aiohttp import web

from edgeseg.events import Events
from edgeseg.server.broadcast import MOST_LOOKS, Broadcast, TooManyLooks
from edgeseg.server.guard import Guard, Handler
from edgeseg.server.login import add_login, read_body
from edgeseg.server.look import Look
from edgeseg.server.state import describe_page, is_ready, is_well
from edgeseg.server.stream import send_stream
from edgeseg.server.view import find_silence

if TYPE_CHECKING:
    from edgeseg.server.webrtc import Peers

SCRIPTS = ("page", "camera", "corridor", "editor", "stream", "call", "chart")
#: Served as they are, to everybody: what they show comes from elsewhere.
STATIC = {
    "/page.css": ("page.css", "text/css"),
    **{f"/{name}.js": (f"{name}.js", "text/javascript") for name in SCRIPTS},
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}
PUBLIC = frozenset({*STATIC, "/login", "/logout", "/healthz", "/readyz"})

#: The state is made once in this time, however many pages ask.
STATE_S = 0.2
EVENTS = 50
LARGEST_BODY = 64 * 1024
NO_STORE = {"Cache-Control": "no-store"}


def build_app(
    broadcasts: Mapping[str, Broadcast],
    events: Events,
    guard: Guard,
    routes: Sequence[web.AbstractRouteDef] = (),
    peers: Peers | None = None,
) -> web.Application:
    """Returns the web application over the cameras by name; `routes` are answered beside its own, after a log-in.

    `peers` are the WebRTC viewers, None where that was not asked for.
    """
    views = [broadcast.view for broadcast in broadcasts.values()]

    def find(request: web.Request) -> Broadcast:
        # The short addresses stand for the first camera.
        name = request.match_info.get("camera", next(iter(broadcasts)))
        if name not in broadcasts:
            raise web.HTTPNotFound(text="there is no such camera\n")
        return broadcasts[name]

    async def stream(request: web.Request) -> web.StreamResponse:
        broadcast = find(request)
        look = _read_look(request, broadcast)
        try:
            with broadcast.watching(look, notices=request.query.get("notices") != "0") as watch:
                return await send_stream(request, watch, guard.admit(request))
        except TooManyLooks as error:
            raise web.HTTPServiceUnavailable(
                text=f"{MOST_LOOKS} looks of this camera are being watched already; take one of them\n"
            ) from error

    async def snapshot(request: web.Request) -> web.StreamResponse:
        broadcast = find(request)
        return _still(broadcast, await broadcast.snapshot(_read_look(request, broadcast)), "image/jpeg")

    async def mask(request: web.Request) -> web.StreamResponse:
        broadcast = find(request)
        return _still(broadcast, await broadcast.mask(), "image/png")

    def last_event() -> int:
        recent = events.recent(1)
        return recent[0].number if recent else 0

    @_kept(STATE_S)
    def describe() -> bytes:
        state = describe_page(broadcasts.values(), last_event())
        watching = 0 if peers is None else peers.count
        return json.dumps({**state, "viewers": state["viewers"] + watching, "webrtc": peers is not None}).encode()

    @_kept(STATE_S)
    def list_events() -> bytes:
        return json.dumps([event.record() for event in events.recent(EVENTS)]).encode()

    @_kept(1.0)
    def list_shares() -> bytes:
        now_s = time.monotonic()
        return json.dumps({view.name: view.feed.history.snapshot(now_s) for view in views}).encode()

    async def healthz(request: web.Request) -> web.StreamResponse:
        return _say_health(is_well(views))

    async def readyz(request: web.Request) -> web.StreamResponse:
        return _say_health(is_ready(views))

    async def session(request: web.Request) -> web.StreamResponse:
        grant = guard.admit(request)
        return web.json_response({"user": grant.user, "can_log_out": grant.by_session}, headers=NO_STORE)

    app = web.Application(
        middlewares=[guard.middleware(PUBLIC)],
        client_max_size=LARGEST_BODY,
        # A compressed body may be a thousand times as large as it looks; nobody needs to send one.
        handler_args={"lingering_time": 1.0, "auto_decompress": False},
    )
    app.on_response_prepare.append(guard.protect)
    for path, (name, kind) in {"/": ("index.html", "text/html"), **STATIC}.items():
        app.router.add_get(path, _static(name, kind))
    for prefix in ("", "/cameras/{camera}"):
        app.router.add_get(f"{prefix}/stream.mjpg", stream, allow_head=False)
        app.router.add_get(f"{prefix}/snapshot.jpg", snapshot)
        app.router.add_get(f"{prefix}/mask.png", mask)
    for path, make in {"state": describe, "events": list_events, "shares": list_shares}.items():
        app.router.add_get(f"/api/{path}", _json(make))
    app.router.add_get("/api/session", session)
    if peers is not None:
        add_offers(app, peers, find, guard)
    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    add_login(app, guard)
    app.router.add_routes(routes)
    return app


def add_offers(app: web.Application, peers: Peers, find: Callable[[web.Request], Broadcast], guard: Guard) -> None:
    """Adds what answers browsers that want video over WebRTC."""
    from edgeseg.server.webrtc import BadOffer, TooManyPeers

    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            offer = json.loads(await read_body(request, LARGEST_BODY))
            answer = await peers.answer(find(request).view, offer, guard.admit(request))
        except TooManyPeers as error:
            raise web.HTTPServiceUnavailable(text="too many watch this way already\n") from error
        except (ValueError, RecursionError) as error:
            raise web.HTTPBadRequest(text="an offer is a JSON object\n") from error
        except BadOffer as error:
            raise web.HTTPBadRequest(text=f"{error}\n") from error
        return web.json_response(answer, headers=NO_STORE)

    for prefix in ("", "/cameras/{camera}"):
        app.router.add_post(f"{prefix}/offer", answer)


def _read_look(request: web.Request, broadcast: Broadcast) -> Look:
    try:
        return Look.parse(request.query, broadcast.view)
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"{error}\n") from error


def _still(broadcast: Broadcast, body: bytes | None, content_type: str) -> web.Response:
    silence = find_silence(broadcast.view)
    if body is None or silence is not None:
        # The last picture is not passed off as the present one.
        text = silence.text if silence else "Waiting for the first picture"
        raise web.HTTPServiceUnavailable(text=f"{text}\n", headers=NO_STORE)
    return web.Response(body=body, content_type=content_type, headers=NO_STORE)


def _kept(seconds: float) -> Callable[[Callable[[], bytes]], Callable[[], bytes]]:
    """Makes a function give its last answer again for that long."""

    def decorate(make: Callable[[], bytes]) -> Callable[[], bytes]:
        made, at_s = b"", -seconds

        def answer() -> bytes:
            nonlocal made, at_s
            now_s = time.monotonic()
            if now_s - at_s >= seconds:
                made, at_s = make(), now_s
            return made

        return answer

    return decorate


def _json(make: Callable[[], bytes]) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(body=make(), content_type="application/json", headers=NO_STORE)

    return answer


def _say_health(good: bool) -> web.Response:
    return web.Response(text="ok\n" if good else "not ok\n", status=200 if good else 503, headers=NO_STORE)


def _static(name: str, content_type: str) -> Handler:
    # Read once: there are a few small files, and no path from a request ever reaches the disk.
    body = (resources.files("edgeseg.server") / "static" / name).read_bytes()

    async def answer(request: web.Request) -> web.StreamResponse:
        return web.Response(
            body=body, content_type=content_type, charset="utf-8", headers={"Cache-Control": "no-cache"}
        )

    return answer
