"""A person who walks into the path is told of everywhere: on the page, to broker and webhook, and on the disk."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.request import urlopen

import pytest

from edgeseg.assembly import Assembly
from edgeseg.config import Config
from tests.broker import Broker, Listener, wait_until
from tests.edgeseg.telemetry.test_webhook import Endpoint

pytestmark = pytest.mark.server

CARPARK = Path(__file__).parents[2] / "data" / "carpark" / "carpark.mp4"


def _changes(records: Iterable[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """The first begin and the first end of a person in the path, as somebody was told of them."""
    found = [(it["details"]["change"], it["camera"], it["text"]) for it in records if it["kind"] == "person_in_path"]
    return found[:2]


def test_a_person_in_the_path_is_told_of_everywhere(tmp_path: Path, broker: Broker) -> None:
    log = tmp_path / "events.jsonl"
    with Endpoint(204) as endpoint, Listener(broker) as listener:
        values = {
            "source": str(CARPARK),
            "loop": True,
            "person_in_path": {"corridor": [[0.3, 0], [0.5, 0], [0.5, 0.25], [0.3, 0.25]]},
            "http": {"address": "127.0.0.1:0"},
            "event_log": {"path": str(log)},
            "webhook": {"url": endpoint.url},
            "mqtt": {"broker": broker.address, "client_id": "gate"},
        }
        with Assembly(Config.model_validate(values)) as assembly:
            thread = Thread(target=assembly.run)
            thread.start()
            try:
                wait_until(lambda: len(_changes(body for _, _, body in endpoint.requests)) == 2)
                wait_until(lambda: len(_changes(listener.all("edgeseg/gate/camera/event"))) == 2)
                wait_until(lambda: {"ON", "OFF"} <= set(_said(listener, "edgeseg/gate/camera/person_in_path")))
                assert assembly.page is not None
                with urlopen(f"{assembly.page.url}/api/events", timeout=10) as answer:
                    page = _changes(json.load(answer))
            finally:
                assembly.stop()
                thread.join()
        told = _changes(event.record() for event in assembly.events.recent())
        assert [change for change, _, _ in told] == ["begin", "end"]
        assert page == told
        assert _changes(body for _, _, body in endpoint.requests) == told
        assert _changes(listener.all("edgeseg/gate/camera/event")) == told
        assert _changes(json.loads(line) for line in log.read_text(encoding="utf-8").splitlines()) == told


def _said(listener: Listener, topic: str) -> list[str]:
    return [payload.decode() for name, payload in list(listener.heard) if name == topic]
