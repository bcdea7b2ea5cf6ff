"""Hosts: the names by which the page may be reached, and requests that another site has made a browser send."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from aiohttp import web

from edgeseg.server.address import Address
from edgeseg.server.connections import IPAddress, read_ip

_HOST = re.compile(r"(\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
SAFE_METHODS = ("GET", "HEAD")


class Hosts:
    """The names of this page.

    A page somewhere else may let its own name point to this machine and then read answers as if they were its own (DNS
    rebinding); the browser sends that name as Host. So only names that are ours are answered: those of this machine,
    those configured, and the address that the connection itself came in on.
    """

    def __init__(self, address: Address, names: Iterable[str] = ()) -> None:
        machine = socket.gethostname().lower()
        short = machine.partition(".")[0]
        self._names = {"localhost", address.host.lower(), machine, short, f"{short}.local", *map(str.lower, names)}

    def knows(self, request: web.Request) -> bool:
        """Whether the request's Host is a name of this page; HTTP/1.0 without one is refused too."""
        match = _HOST.fullmatch(request.headers.get("Host", ""))
        if match is None:
            return False
        name = match[1].strip("[]").lower().rstrip(".")
        if name in self._names:
            return True
        address = _read_ip(name)
        return address is not None and (address.is_loopback or address == _local_address(request))


def comes_from_elsewhere(request: web.Request) -> bool:
    """Whether a browser says that another site made it send this request.

    Following a link to the page is no such thing; loading a picture from here into another site is.
    """
    site = request.headers.get("Sec-Fetch-Site", "same-origin")
    navigating = request.method in SAFE_METHODS and request.headers.get("Sec-Fetch-Mode") == "navigate"
    return site not in ("same-origin", "none") and not navigating


def is_same_origin(request: web.Request) -> bool:
    """Whether a request that changes something comes from this page, or from a program that is no browser.

    Every browser of the last years sends Origin with these. One without may only be a program's, which has no cookies.
    """
    if comes_from_elsewhere(request):
        return False
    origin = request.headers.get("Origin")
    if origin is None:
        return "Cookie" not in request.headers or "Sec-Fetch-Site" in request.headers
    try:
        return urlsplit(origin).netloc.lower() == request.headers.get("Host", "").lower()
    except ValueError:
        # Brackets that are none of an IPv6 address: nobody's origin.
        return False


def _read_ip(text: str) -> IPAddress | None:
    try:
        return read_ip(text)
    except ValueError:
        return None


def _local_address(request: web.Request) -> IPAddress | None:
    place = request.transport.get_extra_info("sockname") if request.transport else None
    return _read_ip(place[0]) if place else None
