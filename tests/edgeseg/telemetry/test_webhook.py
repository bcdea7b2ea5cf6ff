"""Webhook against a real HTTP server: what it posts, how often, and when it gives up."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

import pytest
from pydantic import ValidationError

from edgeseg.backoff import Backoff
from edgeseg.errors import ConfigError
from edgeseg.events import Events
from edgeseg.telemetry.webhook import WAITING, Webhook
from edgeseg.telemetry.webhook_config import WebhookConfig
from tests.broker import wait_until
from tests.server_process import find_port


class Endpoint:
    """Answers every POST with the next of `answers`, the last of them for ever; keeps what it was sent."""

    def __init__(self, *answers: int, port: int = 0, before: Callable[[], object] = lambda: None) -> None:
        self.requests: list[tuple[str, dict[str, str], Any]] = []
        left = list(answers or (204,))
        requests = self.requests

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                before()
                body = self.rfile.read(int(self.headers["Content-Length"]))
                requests.append((self.path, dict(self.headers), json.loads(body)))
                status = left.pop(0) if len(left) > 1 else left[0]
                self.send_response(status)
                if status == 302:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *arguments: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/secret/hook?kind=car"

    def __enter__(self) -> Endpoint:
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def make(url: str, events: Events, *, environment: dict[str, str] | None = None, **settings: Any) -> Webhook:
    config = WebhookConfig.model_validate({"url": url, **settings})
    return Webhook(config, events, environment=environment or {}, backoff=lambda: Backoff(0.02, 0.02))


@pytest.fixture
def events() -> Events:
    return Events()


def kinds(events: Events) -> list[str]:
    return [event.kind for event in events.recent()]


def test_the_kinds_that_are_asked_for_are_posted_with_the_token(events: Events) -> None:
    with Endpoint() as endpoint, make(endpoint.url, events, environment={"EDGESEG_WEBHOOK_TOKEN": "s3cret"}) as webhook:
        events.add("heat_step", "not asked for")
        events.add("camera_lost", "Kabel gezogen – ä", camera="front", level="warning", away_s=1.5)
        events.add("person_in_path", "a person is in the path", camera="front", change="begin")
        wait_until(lambda: webhook.posted == 2)
    (path, headers, body), (_, other_headers, other) = endpoint.requests
    assert path == "/secret/hook?kind=car"
    assert (headers["Authorization"], headers["Content-Type"]) == ("Bearer s3cret", "application/json")
    assert (body["kind"], body["text"], body["camera"]) == ("camera_lost", "Kabel gezogen – ä", "front")
    assert body["details"] == {"away_s": 1.5}
    assert body["device"].startswith("edgeseg-")
    assert other["details"] == {"change": "begin"}
    assert headers["Idempotency-Key"] != other_headers["Idempotency-Key"]
    assert kinds(events) == ["heat_step", "camera_lost", "person_in_path"]


def test_what_may_pass_is_tried_again_under_one_key_and_told_once(events: Events) -> None:
    with Endpoint(503, 503, 429, 200) as endpoint, make(endpoint.url, events) as webhook:
        events.add("camera_lost", "first")
        events.add("camera_back", "second")
        wait_until(lambda: webhook.posted == 2)
    assert [body["text"] for _, _, body in endpoint.requests] == ["first"] * 4 + ["second"]
    assert len({headers["Idempotency-Key"] for _, headers, _ in endpoint.requests}) == 2
    assert kinds(events) == ["camera_lost", "camera_back", "webhook_lost", "webhook_lost", "webhook_back"]
    assert [event.details["reason"] for event in events.recent()[2:4]] == ["it answers 503", "it answers 429"]
    assert all("secret" not in event.text for event in events.recent())


@pytest.mark.parametrize("status", [302, 401, 404])
def test_what_does_not_pass_is_not_tried_again(events: Events, status: int) -> None:
    with Endpoint(status, 200) as endpoint, make(endpoint.url, events) as webhook:
        events.add("camera_lost", "first")
        events.add("camera_back", "second")
        wait_until(lambda: webhook.posted == 1)
        assert webhook.lost == 1
    assert [(path, body["text"]) for path, _, body in endpoint.requests] == [
        ("/secret/hook?kind=car", "first"),
        ("/secret/hook?kind=car", "second"),
    ]
    assert kinds(events)[2:] == ["webhook_lost", "webhook_back"]


def test_events_wait_for_a_server_that_is_away_and_the_oldest_make_room(events: Events) -> None:
    port = find_port()
    with make(f"http://127.0.0.1:{port}/", events) as webhook:
        events.add("camera_lost", "first")
        wait_until(lambda: "webhook_lost" in kinds(events))
        for number in range(WAITING + 20):
            events.add("camera_lost", str(number))
        with Endpoint(port=port) as endpoint:
            wait_until(lambda: webhook.posted == WAITING + 1)
    assert [body["text"] for _, _, body in endpoint.requests] == [
        "first",
        *(str(number) for number in range(20, WAITING + 20)),
    ]
    assert webhook.lost == 20
    assert events.recent(1)[0].details == {"lost": 20}


def test_an_event_that_is_old_is_given_up(events: Events) -> None:
    config = WebhookConfig(url=f"http://127.0.0.1:{find_port()}/")
    with Webhook(config, events, environment={}, retry_for_s=0.05, backoff=lambda: Backoff(0.02, 0.02)) as webhook:
        events.add("camera_lost", "first")
        events.add("camera_lost", "second")
        wait_until(lambda: webhook.lost == 2)
    # Told once, for the reason is the same.
    assert kinds(events).count("webhook_lost") == 1


def test_a_server_that_never_answers_holds_neither_the_run_nor_its_end(events: Events) -> None:
    release = threading.Event()
    with Endpoint(before=lambda: release.wait(60)) as endpoint:
        with make(endpoint.url, events, timeout="100ms") as webhook:
            events.add("camera_lost", "first")
            wait_until(lambda: "webhook_lost" in kinds(events))
            assert "timed out" in events.recent(1)[0].text
        assert webhook.posted == 0
        release.set()


@pytest.mark.parametrize(
    "url", ["ftp://a/b", "http:///x", "https://user:pw@host/", "host/path", "http://h/ä", "http://a b/"]
)
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises(ValidationError):
        WebhookConfig(url=url)


def test_the_path_which_may_be_a_secret_is_not_shown(events: Events) -> None:
    config = WebhookConfig(url="https://hooks.example:8443/services/T0/B0/secret?a=b")
    assert config.model_dump(mode="json")["url"] == "https://hooks.example:8443/***"
    assert Webhook(config, events, environment={}).name == "https://hooks.example:8443/***"
    assert WebhookConfig().model_dump(mode="json")["url"] is None


def test_a_host_that_cannot_be_is_told_and_ends_nothing(events: Events) -> None:
    with make(f"http://{'a' * 70}.example/", events):
        events.add("camera_lost", "first")
        wait_until(lambda: "webhook_lost" in kinds(events))


def test_a_token_that_cannot_be_sent_is_refused(events: Events) -> None:
    with pytest.raises(ConfigError, match="printable ASCII"):
        make("http://a/", events, environment={"EDGESEG_WEBHOOK_TOKEN": "two\nlines"})
