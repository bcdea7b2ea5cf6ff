"""Sessions: they begin, run out, are ended, and never hold what opens the page."""

from __future__ import annotations

from edgeseg.server import sessions as module
from edgeseg.server.keys import Keys
from edgeseg.server.passwords import PasswordHash
from edgeseg.server.sessions import LIFE_S, Sessions
from tests.edgeseg.server.test_attempts import Clock

OLD, NEW = (PasswordHash(4, 1, 1, bytes(16), bytes([number] * 32)) for number in (1, 2))


def test_a_session_lasts_until_it_runs_out() -> None:
    clock = Clock()
    sessions = Sessions(clock)
    secret = sessions.begin("viewer", OLD)
    session = sessions.find(secret)
    assert session is not None
    assert session.user == "viewer"
    clock.now += LIFE_S - 1
    assert sessions.find(secret) is session
    clock.now += 1
    assert not sessions.holds(session)
    assert sessions.find(secret) is None
    assert len(sessions) == 0


def test_a_session_ends_also_for_whoever_holds_it() -> None:
    sessions = Sessions()
    secret, other = sessions.begin("viewer", OLD), sessions.begin("viewer", OLD)
    session = sessions.find(secret)
    assert session is not None
    sessions.end(secret)
    sessions.end("no such session")
    assert not sessions.holds(session)
    assert sessions.find(secret) is None
    assert sessions.find(other) is not None


def test_secrets_are_long_and_no_two_are_alike() -> None:
    sessions = Sessions()
    secrets = {sessions.begin(None, b"") for _ in range(100)}
    assert len(secrets) == 100
    assert min(map(len, secrets)) >= 43
    assert sessions.find("") is None


def test_other_keys_end_the_sessions_of_those_that_changed() -> None:
    sessions = Sessions()
    stays, changed, gone = (sessions.begin(name, OLD) for name in ("stays", "changed", "gone"))
    token, other_token = sessions.begin(None, b"token"), sessions.begin(None, b"another")
    sessions.keep_those_of(Keys(b"token", {"stays": OLD, "changed": NEW}))
    found = [sessions.find(secret) is not None for secret in (stays, changed, gone, token, other_token)]
    assert found == [True, False, False, True, False]


def test_with_too_many_the_oldest_ends() -> None:
    sessions = Sessions()
    first = sessions.begin("viewer", OLD)
    session = sessions.find(first)
    for _ in range(module.MOST):
        sessions.begin("viewer", OLD)
    assert len(sessions) == module.MOST
    assert session is not None
    assert not sessions.holds(session)
