"""The routes by which the page shows, changes and takes back the path of each camera."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from edgeseg.corridor import Polygon, parse_polygon
from edgeseg.corridors import Corridors
from edgeseg.server.login import read_body
from edgeseg.sinks.files import say_why

LARGEST_CORRIDOR = 8 * 1024


def corridor_routes(corridors: Corridors) -> Sequence[web.AbstractRouteDef]:
    """Returns the routes: GET `/api/corridors`, and PUT and DELETE `/api/corridors/{camera}`.

    PUT takes `{"corridor": [[x, y], ...]}`, x and y in 0..1 from the upper left corner. Changes are for whoever may
    watch: the guard has seen to the log-in and to the origin.
    """

    def describe() -> dict[str, Any]:
        cameras = {
            name: {"corridor": it.corridor, "drawn": it.drawn, "person_in_path": it.person_in_path}
            for name, it in corridors.snapshot().items()
        }
        return {"cameras": cameras, "kept": corridors.kept}

    def find(request: web.Request) -> str:
        name = request.match_info["camera"]
        if name not in corridors.snapshot():
            raise web.HTTPNotFound(text="there is no such camera\n")
        return name

    async def change(camera: str, corridor: Polygon | None) -> web.Response:
        try:
            # A disk may take its time; no picture is to wait for it.
            await asyncio.get_running_loop().run_in_executor(None, corridors.draw, camera, corridor)
        except OSError as error:
            raise web.HTTPInsufficientStorage(text=f"it cannot be kept: {say_why(error)}\n") from error
        return answer()

    def answer() -> web.Response:
        return web.json_response(describe(), headers={"Cache-Control": "no-store"})

    async def tell(request: web.Request) -> web.StreamResponse:
        return answer()

    async def draw(request: web.Request) -> web.StreamResponse:
        camera = find(request)
        body = await read_body(request, LARGEST_CORRIDOR)
        try:
            points = json.loads(body)["corridor"]
        except (ValueError, RecursionError, KeyError, TypeError) as error:
            raise web.HTTPBadRequest(text='a path is written {"corridor": [[x, y], ...]}\n') from error
        try:
            corridor = parse_polygon(points)
        except ValueError as error:
            raise web.HTTPBadRequest(text=f"the path {error}\n") from error
        return await change(camera, corridor)

    async def reset(request: web.Request) -> web.StreamResponse:
        return await change(find(request), None)

    return [
        web.get("/api/corridors", tell),
        web.put("/api/corridors/{camera}", draw),
        web.delete("/api/corridors/{camera}", reset),
    ]
