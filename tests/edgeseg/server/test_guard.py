"""Guard over real sockets: names, origins, log-ins, tokens, and what an answer tells browsers."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgeseg.errors import ConfigError, UsageError
from edgeseg.server.access_config import Access
from edgeseg.server.attempts import OVERALL, PER_CLIENT
from edgeseg.server.guard import PROTECTION
from edgeseg.server.passwords import PasswordHash
from tests.edgeseg.server.live import Answer, Site, Viewer, wait_until

TOKEN = "not-to-be-guessed-by-anybody"
PASSWORD = "correct horse"


def users(**passwords: str) -> dict[str, str]:
    # Quick hashes: what scrypt costs is tested where it is made.
    return {name: str(PasswordHash.make(password, 4)) for name, password in passwords.items()}


@pytest.fixture
def site() -> Iterator[Site]:
    """A page with a token and two users."""
    with Site(access=Access(users=users(viewer=PASSWORD, other="battery staple")), token=TOKEN) as site:
        site.publish()
        yield site


PRIVATE = ["/api/state", "/api/events", "/api/shares", "/api/session", "/stream.mjpg", "/snapshot.jpg", "/mask.png"]


def test_without_a_log_in_there_is_nothing_to_see(site: Site) -> None:
    for path in [*PRIVATE, "/", "/cameras/front/snapshot.jpg", "/no/such/path"]:
        answer = site.get(path)
        assert (answer.status, answer.body) == (401, b"log in\n"), path
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")
    answer = site.get("/", {"Accept": "text/html"})
    assert (answer.status, answer.headers["Location"]) == (303, "/login")
    assert [site.get(path).status for path in ("/login", "/page.css", "/page.js", "/icon.svg")] == [200] * 4


def test_a_log_in_opens_the_page_and_a_log_out_closes_it(site: Site) -> None:
    answer = site.log_in("viewer", PASSWORD)
    assert (answer.status, answer.headers["Location"]) == (303, "./")
    cookie = answer.headers["Set-Cookie"]
    for part in (f"edgeseg-{site.port}=", "HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=43200"):
        assert part in cookie
    assert "Secure" not in cookie
    assert site.get("/api/session").json == {"user": "viewer", "can_log_out": True}
    assert [site.get(path).status for path in ("/", "/api/state", "/snapshot.jpg")] == [200] * 3
    assert site.get("/login").status == 303
    answer = site.ask("POST", "/logout", {"Origin": site.page.url})
    assert (answer.status, answer.headers["Location"]) == (303, "login")
    assert "Max-Age=0" in answer.headers["Set-Cookie"]
    # The cookie is worth nothing any more, also to whoever had copied it.
    assert site.get("/api/state").status == 401


def test_the_token_logs_a_browser_in_too(site: Site) -> None:
    assert site.log_in("", TOKEN).status == 303
    assert site.get("/api/session").json == {"user": None, "can_log_out": True}


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("viewer", "wrong"),
        ("stranger", PASSWORD),
        ("viewer", ""),
        ("", PASSWORD),
        ("", ""),
        ("viewer", TOKEN),
        ("x" * 999, "y"),
    ],
)
def test_a_log_in_that_is_wrong(site: Site, caplog: pytest.LogCaptureFixture, name: str, password: str) -> None:
    with caplog.at_level(logging.DEBUG):
        answer = site.log_in(name, password)
    assert answer.status == 401
    assert b"Name, password or token is wrong." in answer.body
    assert b"Password, or the token and no name" in answer.body
    assert "Set-Cookie" not in answer.headers
    assert "a log-in from 127.0.0.1 was refused" in caplog.text
    for secret in (PASSWORD, TOKEN, "stranger", "xxx"):
        assert secret not in caplog.text
        assert secret.encode() not in answer.body


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ("name", 400),
        ("a" * 9000, 413),
        ("%ff%fe=%00", 401),
        ("&".join(["a=b"] * 9), 400),
        ("name=a&name=b", 401),
    ],
)
def test_a_form_that_is_none(site: Site, body: str, status: int) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded", "Origin": site.page.url}
    assert site.ask("POST", "/login", headers, body).status == status


def test_guessing_is_slowed_down_for_one_client(site: Site) -> None:
    for _ in range(PER_CLIENT):
        assert site.log_in("viewer", "wrong").status == 401
    answer = site.log_in("viewer", PASSWORD)
    assert answer.status == 429, "the right one is not told apart from a wrong one then"
    assert 1 <= int(answer.headers["Retry-After"]) <= 12
    assert b"Too many log-ins. Try again in" in answer.body


def test_guessing_from_many_addresses_is_slowed_down_too(site: Site) -> None:
    # Every address of 127.0.0.0/8 is this machine's.
    statuses = []
    body = "name=viewer&password=wrong"
    for number in range(OVERALL + 1):
        with socket.create_connection(("127.0.0.1", site.port), 10, (f"127.0.1.{number + 1}", 0)) as client:
            client.sendall(
                f"POST /login HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                f"Content-Length: {len(body)}\r\n\r\n{body}".encode()
            )
            statuses.append(int(client.makefile("rb").readline().split()[1]))
    assert statuses == [401] * OVERALL + [429]


def test_a_program_sends_the_token(site: Site) -> None:
    right = {"Authorization": f"Bearer {TOKEN}"}
    assert [site.get(path, right).status for path in ("/api/state", "/snapshot.jpg")] == [200, 200]
    assert site.get("/api/session", right).json == {"user": None, "can_log_out": False}
    with Viewer(site.port, headers=right) as viewer:
        assert next(viewer.pictures()).shape == (180, 320, 3)
    for wrong in ("Bearer", "Bearer ", f"Bearer {TOKEN}x", f"Basic {TOKEN}", "Bearer \xff"):
        assert site.get("/api/state", {"Authorization": wrong}).status == 401


def test_guessing_tokens_is_slowed_down(site: Site) -> None:
    for number in range(PER_CLIENT):
        assert site.get("/api/state", {"Authorization": f"Bearer {number}"}).status == 401
    answer = site.get("/api/state", {"Authorization": f"Bearer {TOKEN}"})
    assert (answer.status, answer.body) == (429, b"too many wrong tokens; wait\n")
    assert site.log_in("viewer", PASSWORD).status == 303, "people can log in meanwhile"


def test_on_this_machine_nothing_is_asked_for_unless_it_was_said() -> None:
    with Site() as site:
        site.publish()
        assert site.get("/api/state").status == 200
        assert site.get("/api/session").json == {"user": None, "can_log_out": False}
        assert site.get("/login").headers["Location"] == "./"


# Names and origins.


@pytest.mark.parametrize(
    "name", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST:1", "127.8.0.1", "camera.example.org", "localhost."]
)
def test_names_of_this_page(name: str) -> None:
    with Site(access=Access(hosts=("camera.example.org",))) as site:
        assert site.get("/", {"Host": name}).status == 200


def test_the_machines_own_names() -> None:
    with Site() as site:
        name = socket.gethostname()
        assert site.get("/", {"Host": f"{name}:{site.port}"}).status == 200
        assert site.get("/", {"Host": f"{name.partition('.')[0]}.local"}).status == 200


@pytest.mark.parametrize(
    "name",
    [
        "evil.example",
        "evil.example:8080",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "192.0.2.1",
        "",
        "a b",
        "[::",
        "0.0.0.0",
    ],
)
@pytest.mark.parametrize("path", ["/", "/api/state", "/healthz", "/login"])
def test_a_name_that_is_not_ours_gets_nothing(open_site: Site, name: str, path: str) -> None:
    answer = open_site.get(path, {"Host": name})
    assert answer.status == 421
    assert b"add it to http: hosts" in answer.body
    assert b"evil" not in answer.body


@pytest.fixture(scope="module")
def open_site() -> Iterator[Site]:
    with Site() as site:
        site.publish()
        yield site


def test_a_request_without_a_name_gets_nothing(open_site: Site) -> None:
    with socket.create_connection(("127.0.0.1", open_site.port), 10) as client:
        client.sendall(b"GET /api/state HTTP/1.0\r\n\r\n")
        assert b" 421 " in client.makefile("rb").readline()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://["},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": ""},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"},
        {"Cookie": "edgeseg=x"},
    ],
)
def test_what_changes_something_is_taken_from_this_page_only(site: Site, headers: dict[str, str]) -> None:
    body = f"name=viewer&password={PASSWORD}"
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    for path in ("/login", "/logout"):
        assert site.ask("POST", path, {**form, **headers}, body).status == 403
    site.log_in("viewer", PASSWORD)
    assert site.ask("POST", "/logout", {"Origin": "http://evil.example"}).status == 403
    assert site.get("/api/state").status == 200


def test_another_site_may_link_here_but_not_load_from_here(open_site: Site) -> None:
    follow = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert open_site.get("/", follow).status == 200
    for site in ("cross-site", "same-site"):
        load = {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "no-cors"}
        assert open_site.get("/snapshot.jpg", load).status == 403
    assert open_site.get("/snapshot.jpg", {"Sec-Fetch-Site": "same-origin"}).status == 200


@pytest.mark.parametrize("path", ["/", "/snapshot.jpg", "/no/such/path", "/login", "/api/state", "/cameras/x/mask.png"])
def test_every_answer_tells_browsers_to_be_careful(open_site: Site, path: str) -> None:
    headers = open_site.get(path).headers
    for name, value in PROTECTION.items():
        assert headers[name] == value
        assert len(headers.get_all(name) or []) == 1
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert "Strict-Transport-Security" not in headers


def test_the_stream_tells_it_too(open_site: Site) -> None:
    with Viewer(open_site.port) as viewer:
        assert viewer.headers()["x-content-type-options"] == "nosniff"


# A change of the configuration.


def test_other_keys_while_it_runs_and_who_stays(site: Site) -> None:
    access = {name: text.get_secret_value() for name, text in site.page._access.users.items()}
    with contextlib.ExitStack() as stack:
        streams = []
        cookies = []
        for name, password in (("viewer", PASSWORD), ("other", "battery staple")):
            site.cookie = ""
            site.log_in(name, password)
            cookies.append(site.cookie)
            viewer = stack.enter_context(Viewer(site.port, headers={"Cookie": site.cookie}))
            streams.append(viewer.pictures())
            next(streams[-1])
        site.page.use_access(Access(users={**access, **users(other="a new password")}, hosts=("camera.example.org",)))
        site.publish()
        assert next(streams[0]).shape == (180, 320, 3), "whose log-in still holds stays connected"
        assert list(streams[1]) == [], "and whose does not is let go"
        site.cookie = cookies[0]
        assert site.get("/api/state", {"Host": "camera.example.org"}).status == 200
        site.cookie = cookies[1]
        assert site.get("/api/state").status == 401
        site.cookie = ""
        assert site.log_in("other", "a new password").status == 303


def test_a_password_that_was_changed_while_it_was_checked_opens_nothing(site: Site) -> None:
    guard = site.page._guard
    assert guard is not None
    go_on = threading.Event()
    # The one thread that checks passwords is busy, as with other people's.
    guard._executor.submit(go_on.wait, 20)
    answers: list[Answer] = []
    asking = threading.Thread(target=lambda: answers.append(site.log_in("viewer", PASSWORD)))
    asking.start()
    try:
        wait_until(lambda: guard._waiting == 1)
        site.page.use_access(Access(users=users(viewer="a new password")))
    finally:
        go_on.set()
        asking.join()
    assert [answer.status for answer in answers] == [401]


def test_a_page_that_gets_its_first_key_lets_go_of_whoever_has_none() -> None:
    with Site() as site:
        site.publish()
        with Viewer(site.port) as viewer:
            pictures = viewer.pictures()
            next(pictures)
            site.page.use_access(Access(users=users(viewer=PASSWORD)))
            site.publish()
            assert list(pictures) == []
        assert site.get("/api/state").status == 401


@pytest.mark.parametrize(
    ("access", "why"),
    [
        ({"token_file": Path("/no/such/token")}, "the token cannot be read"),
        ({"certificate": Path("cert.pem")}, "TLS cannot be turned on or off while it runs"),
        ({"connections": 17}, "connections: cannot change while it runs"),
    ],
)
def test_a_change_that_cannot_be_made_changes_nothing(access: dict[str, object], why: str) -> None:
    with Site(access=Access(users=users(viewer=PASSWORD))) as site:
        with pytest.raises(ConfigError, match=why):
            site.page.use_access(Access(**access))
        assert site.get("/api/state").status == 401
        assert site.log_in("viewer", PASSWORD).status == 303


def test_a_page_for_the_network_keeps_a_key() -> None:
    with Site(access=Access(users=users(viewer=PASSWORD)), host="0.0.0.0") as site:
        with pytest.raises(UsageError, match="without a log-in"):
            site.page.use_access(Access())
        assert site.get("/api/state").status == 401
