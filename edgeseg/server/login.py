"""The log-in page: a plain form, so that it works without scripts."""

from __future__ import annotations

import asyncio
import string
from importlib import resources
from math import ceil
from urllib.parse import parse_qsl

from aiohttp import web

from edgeseg.server.guard import Guard, Refused

#: Seconds in which the body of a request must have come.
BODY_S = 10.0
LARGEST_FORM = 8 * 1024


def add_login(app: web.Application, guard: Guard) -> None:
    """Adds `/login` and `/logout`."""
    page = string.Template((resources.files("edgeseg.server") / "static" / "login.html").read_text("utf-8"))

    def show(message: str = "", status: int = 200) -> web.Response:
        body = page.substitute(
            message=message,
            message_hidden="" if message else "hidden",
            name_hidden="" if guard.keys.users else "hidden",
            secret=_name_secret(guard),
        )
        return web.Response(text=body, content_type="text/html", status=status, headers={"Cache-Control": "no-store"})

    async def ask(request: web.Request) -> web.StreamResponse:
        if guard.is_open_to(request):
            raise web.HTTPSeeOther("./")
        return show()

    async def answer(request: web.Request) -> web.StreamResponse:
        body = await read_body(request, LARGEST_FORM)
        try:
            form = dict(parse_qsl(body.decode(), keep_blank_values=True, strict_parsing=True, max_num_fields=8))
        except ValueError as error:
            raise web.HTTPBadRequest(text="a log-in is a form with name and password\n") from error
        try:
            return await guard.log_in(request, form.get("name", "").strip(), form.get("password", ""))
        except Refused as refused:
            if not refused.wait_s:
                either = "Name, password or token" if guard.keys.token is not None else "Name or password"
                return show(f"{either if guard.keys.users else 'The token'} is wrong.", 401)
            seconds = ceil(refused.wait_s)
            response = show(f"Too many log-ins. Try again in {seconds} s.", 429)
            response.headers["Retry-After"] = str(seconds)
            return response

    async def leave(request: web.Request) -> web.StreamResponse:
        return guard.log_out(request)

    app.router.add_get("/login", ask)
    app.router.add_post("/login", answer)
    app.router.add_post("/logout", leave)


async def read_body(request: web.Request, largest: int) -> bytes:
    """Returns the body of a request. Raises the answers 408 and 413 for one that is slow or large."""
    if (request.content_length or 0) > largest:
        raise web.HTTPRequestEntityTooLarge(largest, request.content_length or 0)
    try:
        # What has no length is bounded by the application's client_max_size.
        body = await asyncio.wait_for(request.read(), BODY_S)
    except asyncio.TimeoutError as error:
        raise web.HTTPRequestTimeout(text="the request did not come to its end\n") from error
    if len(body) > largest:
        raise web.HTTPRequestEntityTooLarge(largest, len(body))
    return body


def _name_secret(guard: Guard) -> str:
    if guard.keys.token is None:
        return "Password"
    return "Password, or the token and no name" if guard.keys.users else "Token"
