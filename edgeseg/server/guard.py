"""Guard: looks at every request before anything else does."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from math import ceil

from aiohttp import web
from aiohttp.typedefs import Middleware

from edgeseg.server.attempts import Attempts
from edgeseg.server.connections import Connection, network_of
from edgeseg.server.hosts import SAFE_METHODS, Hosts, comes_from_elsewhere, is_same_origin
from edgeseg.server.keys import Key, Keys
from edgeseg.server.sessions import LIFE_S, Sessions

logger = logging.getLogger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

#: Log-ins that may wait for their turn at the one thread that checks passwords.
MOST_WAITING = 4
#: A day, renewed with every visit: long enough to matter, short enough to get back to plain HTTP on the same name.
HSTS = "max-age=86400"

PROTECTION = {
    "Content-Security-Policy": (
        "default-src 'none'; img-src 'self' data: blob:; media-src 'self' blob:; script-src 'self'; style-src 'self'; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    # Not no-referrer: with that, browsers hide the origin of a form from the page that it is sent to.
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Server": "edgeseg",
}


@dataclass(frozen=True, slots=True)
class Grant:
    """Leave to watch, for as long as `test` says; by whom is for the page to show."""

    test: Callable[[], bool]
    user: str | None = None
    by_session: bool = False

    @property
    def holds(self) -> bool:
        return self.test()


class Refused(Exception):
    """A log-in was not accepted; try again after `wait_s` seconds, at once when it is 0."""

    def __init__(self, wait_s: float = 0.0) -> None:
        super().__init__("the log-in was refused")
        self.wait_s = wait_s


class Guard:
    """Decides who gets in: by the name they reach the page by, the site they come from and the key they have."""

    def __init__(self, keys: Keys, hosts: Hosts, executor: Executor, *, tls: bool) -> None:
        """`executor` checks passwords and should have one thread: that bounds what log-ins take of the processor."""
        self._keys, self._hosts, self._executor, self.tls = keys, hosts, executor, tls
        self._sessions = Sessions()
        self._logins, self._tokens = Attempts(overall=True), Attempts(overall=False)
        self._waiting = 0
        #: Cookies belong to a name, not to a port: two pages of one machine must not end each other's log-ins.
        self.cookie = "edgeseg"

    @property
    def keys(self) -> Keys:
        return self._keys

    def use(self, keys: Keys, hosts: Hosts) -> None:
        """Takes other keys and names; whoever got in by a key that is still there stays in."""
        self._keys, self._hosts = keys, hosts
        self._sessions.keep_those_of(keys)

    def set_port(self, port: int) -> None:
        self.cookie = f"{'__Host-' if self.tls else ''}edgeseg-{port}"

    def middleware(self, public: frozenset[str]) -> Middleware:
        """Returns the middleware; the paths in `public` are answered without a log-in."""

        @web.middleware
        async def guard(request: web.Request, handler: Handler) -> web.StreamResponse:
            connection = Connection.of(request)
            connection.begin()
            try:
                self._check_origin(request)
                if request.path not in public:
                    self.admit(request)
                return await handler(request)
            finally:
                connection.end()

        return guard

    async def protect(self, request: web.Request, response: web.StreamResponse) -> None:
        """Adds to an answer what tells browsers to be careful with it."""
        response.headers.update(PROTECTION)
        if self.tls:
            response.headers["Strict-Transport-Security"] = HSTS

    async def log_in(self, request: web.Request, name: str, password: str) -> web.Response:
        """Returns the answer that logs a browser in. Raises Refused."""
        client = network_of(request.remote or "")
        wait_s = self._logins.take(client)
        if wait_s or self._waiting >= MOST_WAITING:
            raise Refused(wait_s or 1.0)
        key: Key | None
        user: str | None = None
        if name:
            self._waiting += 1
            try:
                run = asyncio.get_running_loop().run_in_executor
                user, key = name, await run(self._executor, self._keys.match_user, name, password)
            finally:
                self._waiting -= 1
            if self._keys.users.get(name) != key:
                # Other keys were taken over in the meantime.
                key = None
        else:
            key = self._keys.match_token(password)
        if key is None:
            # Not the name: people type their password there.
            logger.warning("a log-in from %s was refused", request.remote)
            raise Refused
        self._logins.give_back(client)
        logger.info("%s logged in from %s", user or "somebody with the token", request.remote)
        response = web.Response(status=303, headers={"Location": "./"})
        secret = self._sessions.begin(user, key)
        response.set_cookie(
            self.cookie, secret, max_age=int(LIFE_S), path="/", secure=self.tls, httponly=True, samesite="Strict"
        )
        return response

    def log_out(self, request: web.Request) -> web.Response:
        """Returns the answer that ends a browser's session, also for whoever else has its cookie."""
        self._sessions.end(request.cookies.get(self.cookie, ""))
        response = web.Response(status=303, headers={"Location": "login"})
        response.set_cookie(self.cookie, "", max_age=0, path="/", secure=self.tls, httponly=True, samesite="Strict")
        return response

    def is_open_to(self, request: web.Request) -> bool:
        """Whether the request needs no log-in any more."""
        return self._find_grant(request) is not None

    def admit(self, request: web.Request) -> Grant:
        """Returns the request's grant. Raises the answer to one that has none."""
        client = network_of(request.remote or "")
        by_token = _bearer_token(request) is not None
        if by_token and (wait_s := self._tokens.wait_s(client)):
            raise web.HTTPTooManyRequests(
                text="too many wrong tokens; wait\n", headers={"Retry-After": str(ceil(wait_s))}
            )
        grant = self._find_grant(request)
        if grant is not None:
            return grant
        if by_token:
            self._tokens.take(client)
        if request.method == "GET" and "text/html" in request.headers.get("Accept", ""):
            raise web.HTTPSeeOther("/login")
        raise web.HTTPUnauthorized(text="log in\n", headers={"WWW-Authenticate": 'Bearer realm="edgeseg"'})

    def _check_origin(self, request: web.Request) -> None:
        if not self._hosts.knows(request):
            raise web.HTTPMisdirectedRequest(
                text="edgeseg does not answer to this name; use this machine's, or add it to http: hosts\n"
            )
        same = is_same_origin(request) if request.method not in SAFE_METHODS else not comes_from_elsewhere(request)
        if not same:
            raise web.HTTPForbidden(text="another site may not do this\n")

    def _find_grant(self, request: web.Request) -> Grant | None:
        if not self._keys.required:
            return Grant(lambda: not self._keys.required)
        token = _bearer_token(request)
        if token is not None:
            digest = self._keys.match_token(token)
            return None if digest is None else Grant(lambda: self._keys.token == digest)
        session = self._sessions.find(request.cookies.get(self.cookie, ""))
        if session is None:
            return None
        return Grant(lambda: self._sessions.holds(session), session.user, by_session=True)


def _bearer_token(request: web.Request) -> str | None:
    kind, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip() if kind.lower() == "bearer" else None
