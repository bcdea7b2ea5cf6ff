"""Broker: a real mosquitto of one's own, to be killed, stopped and started again on one port; Listener: who listens."""

from __future__ import annotations

import json
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from shutil import which
from types import TracebackType
from typing import Any

from paho.mqtt.client import Client, MQTTMessage
from paho.mqtt.enums import CallbackAPIVersion

from tests.server_process import ServerProcess, find_port

#: Debian puts it where only root looks.
MOSQUITTO = which("mosquitto") or which("mosquitto", path="/usr/sbin")
#: What takes longer hangs.
LIMIT_S = 30


def why_no_broker() -> str | None:
    """Why there can be no broker on this machine, None when there can."""
    return None if MOSQUITTO else "no mosquitto here: run tests/install-servers"


class Broker(ServerProcess):
    """Listens on 127.0.0.1:`port`; remembers nothing from one start to the next."""

    def __init__(self, folder: Path, settings: Sequence[str] = ("allow_anonymous true",)) -> None:
        """`settings` are lines of mosquitto.conf(5)."""
        super().__init__()
        self.port = find_port()
        self._file = folder / "mosquitto.conf"
        # Without a user it would become one that cannot read the test's files.
        lines = [f"listener {self.port} 127.0.0.1", "user root", *settings]
        self._file.write_text("\n".join(lines) + "\n", encoding="utf-8")

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Starts it; returns when it listens."""
        assert MOSQUITTO is not None
        self._process = subprocess.Popen(
            [MOSQUITTO, "-c", str(self._file)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        wait_until(self._listens)

    def _listens(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, "mosquitto has ended"
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


class Listener:
    """Subscribes to everything and keeps what it hears, in order; comes back when the broker does."""

    def __init__(self, broker: Broker) -> None:
        self._changed = threading.Condition()
        self.heard: list[tuple[str, bytes]] = []
        self.ready = threading.Event()
        self._client = Client(CallbackAPIVersion.VERSION2)
        self._client.reconnect_delay_set(min_delay=1, max_delay=1)
        self._client.on_connect = lambda client, *_: client.subscribe("#", qos=1)
        self._client.on_subscribe = lambda *_: self.ready.set()
        self._client.on_message = self._on_message
        self._port = broker.port

    def __enter__(self) -> Listener:
        self._client.connect("127.0.0.1", self._port)
        self._client.loop_start()
        assert self.ready.wait(LIMIT_S)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def say(self, topic: str, payload: str, *, retain: bool = False) -> None:
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(LIMIT_S)

    def last(self, topic: str) -> Any:
        """Returns the last thing that a topic said, read as JSON where it is JSON; None when it said nothing."""
        with self._changed:
            found = [payload for name, payload in self.heard if name == topic]
        if not found:
            return None
        try:
            return json.loads(found[-1])
        except ValueError:
            return found[-1].decode()

    def all(self, topic: str) -> list[Any]:
        """Returns everything that a topic said, read as JSON."""
        with self._changed:
            return [json.loads(payload) for name, payload in self.heard if name == topic]

    def topics(self) -> set[str]:
        with self._changed:
            return {topic for topic, _ in self.heard}

    def forget(self) -> None:
        with self._changed:
            self.heard.clear()

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        with self._changed:
            self.heard.append((message.topic, message.payload))


def wait_until(condition: Callable[[], object], limit_s: float = LIMIT_S) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        assert time.monotonic() < end, f"it did not happen within {limit_s} seconds"
        time.sleep(0.01)
