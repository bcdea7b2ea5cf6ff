"""/metrics, asked over HTTP as Prometheus does."""

from __future__ import annotations

import asyncio

from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from edgeseg.exposition import Family, render
from edgeseg.telemetry.metrics_route import metrics_route


def test_the_page_is_made_when_it_is_asked_for_and_says_which_format_it_has() -> None:
    counter = iter(range(1, 10))

    async def ask() -> list[tuple[str, str]]:
        app = web.Application()
        app.add_routes([metrics_route(lambda: render([Family("edgeseg_x", "gauge", "ä.").add(next(counter))]))])
        async with TestClient(TestServer(app)) as client:
            found = []
            for _ in range(2):
                async with client.get("/metrics") as response:
                    found.append((response.headers["Content-Type"], await response.text()))
            return found

    first, second = asyncio.run(ask())
    assert first == (
        "text/plain; version=0.0.4; charset=utf-8",
        "# HELP edgeseg_x ä.\n# TYPE edgeseg_x gauge\nedgeseg_x 1\n",
    )
    assert second[1].endswith("edgeseg_x 2\n")
