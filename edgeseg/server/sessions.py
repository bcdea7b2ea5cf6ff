"""Sessions: who is logged in, in memory; a restart logs everybody out."""

from __future__ import annotations

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from edgeseg.server.keys import Key, Keys

#: A day at the wheel.
LIFE_S = 12 * 3600.0
#: Sessions at a time; with one more the oldest ends.
MOST = 256


@dataclass(slots=True, repr=False, eq=False)
class Session:
    """A log-in: by whom (None: with the token), by what key, until when (monotonic seconds), and whether it ended."""

    user: str | None
    key: Key
    ends_s: float
    ended: bool = False


class Sessions:
    """Knows a session by the digest of its secret, so that memory holds nothing that opens the page."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._sessions: OrderedDict[bytes, Session] = OrderedDict()

    def __len__(self) -> int:
        return len(self._sessions)

    def begin(self, user: str | None, key: Key) -> str:
        """Begins a session and returns its secret, 256 bits."""
        secret = secrets.token_urlsafe(32)
        self._sessions[_digest(secret)] = Session(user, key, self._clock() + LIFE_S)
        if len(self._sessions) > MOST:
            self._drop(next(iter(self._sessions)))
        return secret

    def find(self, secret: str) -> Session | None:
        """Returns the session of that secret while it lasts."""
        digest = _digest(secret)
        session = self._sessions.get(digest)
        if session is not None and not self.holds(session):
            self._drop(digest)
            return None
        return session

    def holds(self, session: Session) -> bool:
        """Whether the session has neither run out nor been ended."""
        return not session.ended and self._clock() < session.ends_s

    def end(self, secret: str) -> None:
        """Ends a session: whoever has its secret is logged out."""
        self._drop(_digest(secret))

    def keep_those_of(self, keys: Keys) -> None:
        """Ends every session whose key has changed or is gone."""
        for digest, session in list(self._sessions.items()):
            key = keys.token if session.user is None else keys.users.get(session.user)
            if key != session.key:
                self._drop(digest)

    def _drop(self, digest: bytes) -> None:
        session = self._sessions.pop(digest, None)
        if session is not None:
            session.ended = True


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogateescape")).digest()
