"""Mqtt against a real mosquitto: what it tells, and what it does while the broker is away."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from edgeseg.backoff import Backoff
from edgeseg.board import BoardReading
from edgeseg.errors import ConfigError, UsageError
from edgeseg.events import Events
from edgeseg.telemetry.mqtt import EVENTS_KEPT, IN_FLIGHT, Mqtt
from edgeseg.telemetry.mqtt_config import MqttConfig
from tests.broker import Broker, Listener, wait_until, why_no_broker
from tests.edgeseg.telemetry.cameras import make_lane, show

pytestmark = pytest.mark.server

ROOT = Path(__file__).resolve().parents[3]
CLASSES = ("other", "road", "vehicle", "person")
BASE = "edgeseg/gate"


class Telling:
    """A camera `front`, and the part that tells of it."""

    def __init__(self, address: str, **settings: Any) -> None:
        self.events = Events()
        self.lane = make_lane("front")
        self.somebody = False
        environment = settings.pop("environment", {})
        settings = {"broker": address, "client_id": "gate", "interval": "1s", **settings}
        self.mqtt = Mqtt(
            MqttConfig.model_validate(settings),
            lanes={"front": self.lane},
            classes=CLASSES,
            events=self.events,
            board=lambda: BoardReading(temperature_c=51.5, throttled=False),
            person_in_path=lambda name: self.somebody,
            environment=environment,
            backoff=Backoff(0.05, 0.1),
        )

    def __enter__(self) -> Telling:
        self.mqtt.__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        self.mqtt.__exit__(None, None, None)

    def kinds(self) -> list[str]:
        return [event.kind for event in self.events.recent()]


@contextmanager
def telling(broker: Broker, **settings: Any) -> Iterator[Telling]:
    with Telling(broker.address, **settings) as it:
        wait_until(lambda: it.mqtt.connected)
        yield it


def test_states_and_events_are_told_and_the_end_too(broker: Broker) -> None:
    with Listener(broker) as listener:
        with telling(broker) as it:
            show(it.lane, 0, 1, 1, 2, count=5)
            wait_until(lambda: (listener.last(f"{BASE}/front/state") or {}).get("connection") == "live")
            for topic in ("state", "front/connected", "front/person_in_path", "availability"):
                wait_until(lambda topic=topic: listener.last(f"{BASE}/{topic}") is not None)
            state = listener.last(f"{BASE}/front/state")
            assert state["shares"] == {"other": 0.25, "road": 0.5, "vehicle": 0.25, "person": 0.0}
            assert state["frames"] == {"in": 5, "segmented": 5, "dropped": 0}
            assert listener.last(f"{BASE}/state")["temperature_c"] == 51.5
            assert listener.last(f"{BASE}/front/connected") == "ON"
            assert listener.last(f"{BASE}/front/person_in_path") == "OFF"
            it.somebody = True
            it.events.add("person_in_path", "a person is in the path", camera="front", change="begin")
            it.events.add("heat_step", "rung 1 of 3")
            wait_until(lambda: listener.last(f"{BASE}/front/person_in_path") == "ON")
            for topic in ("event", "front/event"):
                wait_until(lambda topic=topic: listener.last(f"{BASE}/{topic}") is not None)
            event = listener.last(f"{BASE}/front/event")
            assert (event["kind"], event["event_type"], event["camera"]) == (
                "person_in_path",
                "person_in_path_begin",
                "front",
            )
            assert listener.last(f"{BASE}/availability") == "online"
            it.events.add("person_in_path", "the run has ended", camera="front", change="end")
        wait_until(lambda: listener.last(f"{BASE}/availability") == "offline")
        # What happened last went before the good-bye: nobody believes who is offline.
        assert [topic for topic, _ in listener.heard[-2:]] == [f"{BASE}/front/event", f"{BASE}/availability"]
        assert listener.last(f"{BASE}/front/event")["event_type"] == "person_in_path_end"


def test_home_assistant_is_introduced_to_every_entity_again_and_again(broker: Broker) -> None:
    ghost = "homeassistant/sensor/gate/old_fps/config"
    with Listener(broker) as listener:
        listener.say(ghost, "{}", retain=True)
        listener.say("homeassistant/sensor/other/fps/config", "{}", retain=True)
        with telling(broker):
            share = "homeassistant/sensor/gate/front_share_road/config"
            wait_until(lambda: listener.last(share) is not None)
            # An entity of an earlier configuration goes; those of others stay.
            wait_until(lambda: listener.last(ghost) == "")
            assert listener.last("homeassistant/sensor/other/fps/config") == {}
            listener.forget()
            listener.say("homeassistant/status", "offline")
            listener.say("homeassistant/status", "online")
            wait_until(lambda: listener.last(share) is not None)
            wait_until(lambda: listener.last(f"{BASE}/front/state") is not None)


def test_without_discovery_nothing_is_announced(broker: Broker) -> None:
    with Listener(broker) as listener, telling(broker, discovery=False, prefix="cars/north"):
        wait_until(lambda: listener.last("cars/north/gate/state") is not None)
        assert {topic.split("/")[0] for topic in listener.topics()} == {"cars"}


def test_a_broker_that_comes_late_or_again_hears_everything_that_still_counts(broker: Broker) -> None:
    broker.kill()
    with Telling(broker.address) as it:
        wait_until(lambda: "mqtt_lost" in it.kinds())
        for number in range(EVENTS_KEPT + 50):
            it.events.add("heat_step", "up and down", step=number)
        for rounds in range(2):
            broker.start()
            with Listener(broker) as listener:
                wait_until(lambda: listener.last(f"{BASE}/availability") == "online")
                wait_until(lambda: "homeassistant/sensor/gate/front_fps/config" in listener.topics())
                it.events.add("heat_step", "now", step=-rounds)
                wait_until(lambda now=-rounds: (listener.last(f"{BASE}/event") or {}).get("details") == {"step": now})
                steps = [event["details"].get("step") for event in listener.all(f"{BASE}/event")]
            if rounds == 0:
                # The listener came after or before the first ones; nothing is out of order or there twice.
                told = [step for step in steps if step]
                assert told == sorted(set(told))
                assert told[-1] == EVENTS_KEPT + 49
            broker.kill()
            wait_until(lambda: not it.mqtt.connected)
        # One of those that were dropped made room for the word that the broker was away.
        assert 50 <= it.mqtt.events_dropped <= 55
        assert it.kinds().count("mqtt_connected") == 2


def test_a_broker_that_hangs_holds_nobody_up_and_fills_no_memory(broker: Broker) -> None:
    with telling(broker) as it:
        broker.stop()
        adding = threading.Thread(
            target=lambda: [it.events.add("heat_step", "x" * 10_000) for _ in range(20 * EVENTS_KEPT)]
        )
        adding.start()
        adding.join(20)
        assert not adding.is_alive()
        assert it.mqtt.waiting <= EVENTS_KEPT + IN_FLIGHT + 30
        assert it.mqtt.events_dropped >= 18 * EVENTS_KEPT
    # And the run has ended, although nobody has taken the good-bye.
    assert "mqtt" not in [thread.name for thread in threading.enumerate()]


def test_a_refusal_is_told_once(tmp_path: Path) -> None:
    if (why_not := why_no_broker()) is not None:
        pytest.skip(why_not)
    settings = ["allow_anonymous false", f"password_file {make_passwords(tmp_path, 'right')}"]
    with Broker(tmp_path, settings) as broker:
        with Telling(broker.address, user="edgeseg", environment={"EDGESEG_MQTT_PASSWORD": "wrong"}) as it:
            wait_until(lambda: "mqtt_lost" in it.kinds())
            time.sleep(0.5)
            (event,) = it.events.recent()
        assert "refuses us: not authorized" in event.text
        assert "wrong" not in event.text


def make_passwords(folder: Path, password: str) -> Path:
    """A file with what the broker is to know of the user edgeseg."""
    file = folder / "passwords"
    subprocess.run(["mosquitto_passwd", "-c", "-b", file, "edgeseg", password], check=True)
    return file


# paho leaves it to Python to close the socket of a handshake that fails.
@pytest.mark.filterwarnings("ignore:unclosed <ssl.SSLSocket:ResourceWarning")
def test_over_tls_with_a_certificate_and_a_password_from_a_file(tmp_path: Path) -> None:
    if (why_not := why_no_broker()) is not None:
        pytest.skip(why_not)
    make_certificates(tmp_path)
    settings = [
        f"cafile {tmp_path}/ca.pem",
        f"certfile {tmp_path}/server.pem",
        f"keyfile {tmp_path}/server.key",
        "require_certificate true",
        f"password_file {make_passwords(tmp_path, 'right')}",
    ]
    (tmp_path / "password").write_text("right\n", encoding="ascii")
    tls = {"enabled": True, **{name: tmp_path / file for name, file in CLIENT_FILES.items()}}
    with Broker(tmp_path, settings) as broker:
        port = broker.port
        with Telling(f"localhost:{port}", tls=tls, user="edgeseg", password_file=tmp_path / "password") as it:
            wait_until(lambda: it.mqtt.sent > 10)
        # Its certificate is for localhost, and the system's authorities know nothing of it.
        for address, other in ((f"127.0.0.1:{port}", tls), (f"localhost:{port}", {**tls, "ca": None})):
            with Telling(address, tls=other) as it:
                wait_until(lambda it=it: "mqtt_lost" in it.kinds())
                assert "certificate verify failed" in it.events.recent()[0].text


CLIENT_FILES = {"ca": "ca.pem", "cert": "client.pem", "key": "client.key"}


def make_certificates(folder: Path) -> None:
    """An authority, and a certificate by it for the server, localhost, and one for the client."""
    (folder / "san").write_text("subjectAltName=DNS:localhost\n", encoding="ascii")
    key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    openssl(folder, "req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.pem", "-subj", "/CN=test authority")
    for name, subject in (("server", "/CN=localhost"), ("client", "/CN=gate")):
        openssl(folder, "req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
        by = ["-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "san"]
        openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", *by)


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, capture_output=True, check=True)


def test_the_last_will_speaks_for_a_process_that_was_killed(broker: Broker) -> None:
    code = (
        "import sys, time; from tests.edgeseg.telemetry.test_mqtt import Telling\n"
        "with Telling(sys.argv[1]): time.sleep(60)"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with (
        Listener(broker) as listener,
        subprocess.Popen([sys.executable, "-c", code, broker.address], env=environment) as process,
    ):
        wait_until(lambda: listener.last(f"{BASE}/availability") == "online")
        process.send_signal(signal.SIGKILL)
        wait_until(lambda: listener.last(f"{BASE}/availability") == "offline")


def test_what_listens_but_is_no_broker_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgeseg.telemetry.mqtt.ANSWER_LIMIT_S", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with Telling(f"127.0.0.1:{silent.getsockname()[1]}") as it:
            wait_until(lambda: "mqtt_lost" in it.kinds())
        assert "is it an MQTT broker?" in it.events.recent()[0].text


def test_without_paho_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "paho.mqtt.client", None)
    with pytest.raises(UsageError, match=r"pip install 'edgeseg\[mqtt\]'"):
        Telling("127.0.0.1:1")


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"mqtt.tls: .*none.pem: cannot be used: no such file"):
        Telling("127.0.0.1:1", tls={"enabled": True, "ca": tmp_path / "none.pem"})
    with pytest.raises(ConfigError, match=r"mqtt.password_file .*none: cannot be read: no such file"):
        Telling("127.0.0.1:1", password_file=tmp_path / "none")
