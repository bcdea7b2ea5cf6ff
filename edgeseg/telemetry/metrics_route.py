"""The route that Prometheus asks."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aiohttp import web

from edgeseg.exposition import CONTENT_TYPE


def metrics_route(expose: Callable[[], str]) -> web.RouteDef:
    """Returns `/metrics`, which answers with the page that `expose` makes."""

    async def answer(request: web.Request) -> web.StreamResponse:
        # It reads files and copies histograms, for some milliseconds that no picture is to wait.
        page = await asyncio.get_running_loop().run_in_executor(None, expose)
        return web.Response(body=page.encode(), headers={"Content-Type": CONTENT_TYPE, "Cache-Control": "no-store"})

    return web.get("/metrics", answer)
