"""Mqtt: tells a broker how the run does, and Home Assistant what to make of it."""

from __future__ import annotations

import json
import os
import select
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from types import TracebackType
from typing import TYPE_CHECKING, Any

from edgeseg.backoff import Backoff
from edgeseg.board import BoardReading
from edgeseg.errors import ConfigError, UsageError, explain
from edgeseg.events import Event, Events
from edgeseg.exposition import Family
from edgeseg.lane import Lane
from edgeseg.telemetry.alarm import Alarm
from edgeseg.telemetry.home_assistant import (
    OFF,
    OFFLINE,
    ON,
    ONLINE,
    Topics,
    describe_entities,
    discovery_filter,
    event_type,
)
from edgeseg.telemetry.identity import make_client_id
from edgeseg.telemetry.mqtt_config import MqttConfig
from edgeseg.telemetry.outbox import Outbox
from edgeseg.telemetry.report import CameraReport, device_report
from edgeseg.telemetry.secret import take_secret

if TYPE_CHECKING:
    from paho.mqtt.client import Client, ConnectFlags, DisconnectFlags, MQTTMessage
    from paho.mqtt.properties import Properties
    from paho.mqtt.reasoncodes import ReasonCode

PASSWORD_VARIABLE = "EDGESEG_MQTT_PASSWORD"

#: Events that wait for a broker: some hours of a bad day, about 100 kB.
EVENTS_KEPT = 200
#: Messages on their way that the broker has not confirmed; the rest waits in the outbox, where states grow no longer.
IN_FLIGHT = 20
#: After this without a word from the broker, or from us, the connection counts as dead (and half of it again, by MQTT).
KEEPALIVE_S = 20
CONNECT_LIMIT_S = 5.0
ANSWER_LIMIT_S = 10.0
#: What the end of a run waits for the broker to take the last events and the good-bye.
FAREWELL_S = 1.0
#: It is looked for at least this often: usually it is in the same house.
LONGEST_RETRY_S = 10.0
#: A broker that refuses us will not think better of it within seconds.
REFUSED_RETRY_S = 60.0
#: How often it looks whether a camera was lost or a state is due.
LOOK_EVERY_S = 0.25


class Mqtt:
    """Keeps a broker told: what states there are, retained and anew at every interval; what happens, as it happens.

    A thread of its own does it all; what it cannot hand over waits in an `Outbox`. Under PREFIX/CLIENT, with CAMERA/
    before what is of a camera: `availability` (online, offline; the last will), `state` (JSON), `connected` and
    `person_in_path` (ON, OFF), `event` (JSON).
    """

    def __init__(
        self,
        config: MqttConfig,
        *,
        lanes: Mapping[str, Lane],
        classes: Iterable[str],
        events: Events,
        board: Callable[[], BoardReading] = BoardReading,
        person_in_path: Callable[[str], bool] = lambda camera: False,
        environment: MutableMapping[str, str] | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """Raises UsageError without paho-mqtt, ConfigError for files that cannot be used."""
        if config.broker is None:
            raise ValueError("there is no broker")
        self.config = config
        self.broker = f"{config.broker.host}:{config.port}"
        self.topics = Topics(config.prefix, config.client_id or make_client_id())
        self._classes = tuple(classes)
        self._lanes, self._events = dict(lanes), events
        self._board, self._person_in_path = board, person_in_path
        self._reports = {name: CameraReport(lane) for name, lane in lanes.items()}
        self._outbox = Outbox(EVENTS_KEPT)
        self._client = self._make_client(os.environ if environment is None else environment)
        self._backoff = backoff or Backoff(longest_s=LONGEST_RETRY_S)
        self._unconfirmed: set[int] = set()
        self._announced: set[str] = set()
        self._told: dict[str, str] = {}
        self._connected = False
        self._refusal = ""
        self._trouble = ""
        self._sent = 0
        self._due_s = self._began_s = time.monotonic()
        self._stopping = threading.Event()
        self._alarm = Alarm()
        self._thread: threading.Thread | None = None
        self._unsubscribe: Callable[[], None] = lambda: None

    def __enter__(self) -> Mqtt:
        self._unsubscribe = self._events.subscribe(self._heard)
        self._thread = threading.Thread(target=self._run, name="mqtt", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._unsubscribe()
        self._stopping.set()
        self._alarm.ring()
        assert self._thread is not None
        # A name that is being looked up or a handshake cannot be called off; the thread is a daemon.
        self._thread.join(2 * FAREWELL_S)
        if not self._thread.is_alive():
            self._alarm.close()

    @property
    def connected(self) -> bool:
        """Whether the broker takes what it is told."""
        return self._connected

    @property
    def sent(self) -> int:
        """Messages that the broker has confirmed."""
        return self._sent

    @property
    def events_dropped(self) -> int:
        """Events that were never told, for there were too many while the broker was away."""
        return self._outbox.dropped

    @property
    def waiting(self) -> int:
        """Messages that wait to be sent or confirmed."""
        return len(self._outbox) + len(self._unconfirmed)

    def families(self) -> Iterator[Family]:
        """Yields its numbers for Prometheus."""
        yield Family("edgeseg_mqtt_connected", "gauge", "1 while the broker takes messages.").add(self.connected)
        yield Family("edgeseg_mqtt_messages_sent_total", "counter", "Messages that the broker has confirmed.").add(
            self.sent
        )
        yield Family("edgeseg_mqtt_messages_waiting", "gauge", "Messages to be sent or confirmed.").add(self.waiting)
        yield Family("edgeseg_mqtt_events_dropped_total", "counter", "Events that the broker was never told.").add(
            self.events_dropped
        )

    # What goes into the outbox.

    def _heard(self, event: Event) -> None:
        """Runs in the thread that adds the event."""
        content = {**event.record(), "event_type": event_type(event)}
        self._outbox.put_event(self.topics.events(event.camera), _to_json(content))
        self._alarm.ring()

    def _look(self, now_s: float) -> None:
        """Puts what has changed since it was told last into the outbox, and every state when it is time."""
        for name, lane in self._lanes.items():
            self._say(self.topics.connected(name), lane.health.connection == "live")
            self._say(self.topics.person_in_path(name), self._person_in_path(name))
        if now_s >= self._due_s:
            self._due_s = now_s + self.config.interval
            for name, report in self._reports.items():
                self._outbox.put_state(self.topics.camera(name), _to_json(report.take()))
            device = {
                **device_report(self._began_s, self._board()),
                "cameras": list(self._lanes),
                "events_dropped": self.events_dropped,
            }
            self._outbox.put_state(self.topics.device, _to_json(device))

    def _say(self, topic: str, on: bool) -> None:
        payload = ON if on else OFF
        if self._told.get(topic) != payload:
            self._told[topic] = payload
            self._outbox.put_state(topic, payload.encode())

    def _introduce(self) -> None:
        """Puts everything that a broker, or a Home Assistant, that knows nothing must be told into the outbox."""
        if self.config.discovery:
            for topic, content in describe_entities(
                self.topics, self._lanes, self._classes, discovery_prefix=self.config.discovery_prefix
            ):
                self._announced.add(topic)
                self._outbox.put_state(topic, _to_json(content))
        self._told.clear()
        self._due_s = 0.0

    # The connection. Everything below runs in the thread.

    def _make_client(self, environment: MutableMapping[str, str]) -> Client:
        try:
            from paho.mqtt.client import Client
            from paho.mqtt.enums import CallbackAPIVersion
        except ImportError as error:
            raise UsageError("mqtt: needs paho-mqtt, which is not installed; pip install 'edgeseg[mqtt]'") from error
        config = self.config
        client = Client(CallbackAPIVersion.VERSION2, client_id=self.topics.client_id)
        client.connect_timeout = CONNECT_LIMIT_S
        client.will_set(self.topics.availability, OFFLINE, qos=1, retain=True)
        password = take_secret("mqtt.password_file", config.password_file, PASSWORD_VARIABLE, environment)
        if config.user is not None or password is not None:
            client.username_pw_set(config.user or "", password)
        if config.tls.enabled:
            client.tls_set_context(_make_tls_context(config))
        client.on_connect = self._on_connect
        client.on_disconnect = self._on_disconnect
        client.on_publish = self._on_publish
        client.on_message = self._on_message
        return client

    def _run(self) -> None:
        assert self.config.broker is not None
        while not self._stopping.is_set():
            self._refusal = reason = ""
            try:
                self._client.connect(self.config.broker.host, self.config.port, KEEPALIVE_S)
                reason = self._serve(self._client)
            except (OSError, ValueError) as error:
                reason = explain(error) if isinstance(error, OSError) else str(error)
            if self._stopping.is_set():
                break
            self._lost(self._refusal or reason)
            self._stopping.wait(REFUSED_RETRY_S if self._refusal else self._backoff.next_s())

    def _serve(self, client: Client) -> str:
        """Keeps a connection going; returns why it ended."""
        answer_by_s = time.monotonic() + ANSWER_LIMIT_S
        while (channel := client.socket()) is not None and not self._stopping.is_set():
            now_s = time.monotonic()
            if self._connected:
                self._look(now_s)
                self._drain(client)
            elif now_s >= answer_by_s:
                client.disconnect()
                return f"no answer within {ANSWER_LIMIT_S:.0f} s; is it an MQTT broker?"
            self._wait(client, channel)
        if self._stopping.is_set():
            self._say_goodbye(client)
        return "the connection was closed"

    def _say_goodbye(self, client: Client) -> None:
        """Sends what is left, then that nobody is here any more, as far as the broker takes it in time."""
        deadline_s = time.monotonic() + FAREWELL_S
        said = False
        while (channel := client.socket()) is not None and self._connected and time.monotonic() < deadline_s:
            self._drain(client)
            if not self.waiting:
                if said:
                    break
                said = True
                self._outbox.put_state(self.topics.availability, OFFLINE.encode())
                continue
            self._wait(client, channel)
        # Without a good-bye the broker speaks our last will; disconnecting in good order takes that from it.
        if said:
            client.disconnect()

    def _wait(self, client: Client, channel: Any) -> None:
        """Does what the connection asks for, and returns after a while."""
        poll = select.poll()
        poll.register(channel, select.POLLIN | (select.POLLOUT if client.want_write() else 0))
        poll.register(self._alarm, select.POLLIN)
        # What TLS has decrypted already no longer shows on the socket.
        pending = isinstance(channel, ssl.SSLSocket) and channel.pending() > 0
        ready = dict(poll.poll(0 if pending else LOOK_EVERY_S * 1e3))
        if self._alarm.fileno() in ready:
            self._alarm.clear()
        events = ready.get(channel.fileno(), 0)
        if pending or events & ~select.POLLOUT:
            client.loop_read()
        if events & select.POLLOUT:
            client.loop_write()
        client.loop_misc()

    def _drain(self, client: Client) -> None:
        while len(self._unconfirmed) < IN_FLIGHT and (message := self._outbox.take()) is not None:
            self._unconfirmed.add(client.publish(message.topic, message.payload, qos=1, retain=message.retain).mid)

    def _lost(self, reason: str) -> None:
        """Tells once that the broker is away, and why whenever that is another reason."""
        if reason != self._trouble:
            self._trouble = reason
            text = f"the MQTT broker {self.broker} is not told anything: {reason}"
            self._events.add("mqtt_lost", text, level="warning", broker=self.broker, reason=reason)

    def _on_connect(
        self, client: Client, userdata: Any, flags: ConnectFlags, reason: ReasonCode, properties: Properties | None
    ) -> None:
        if reason.is_failure:
            self._refusal = f"it refuses us: {reason}; see user and password".lower()
            return
        self._connected = True
        self._trouble = ""
        self._outbox.put_state(self.topics.availability, ONLINE.encode())
        self._introduce()
        if self.config.discovery:
            client.subscribe(f"{self.config.discovery_prefix}/status", qos=1)
            client.subscribe(discovery_filter(self.config.discovery_prefix, self.topics.client_id), qos=0)
        self._events.add("mqtt_connected", f"the MQTT broker {self.broker} is told how we do", broker=self.broker)

    def _on_disconnect(
        self,
        client: Client,
        userdata: Any,
        flags: DisconnectFlags,
        reason: ReasonCode,
        properties: Properties | None,
    ) -> None:
        self._connected = False

    def _on_publish(
        self, client: Client, userdata: Any, mid: int, reason: ReasonCode, properties: Properties | None
    ) -> None:
        self._unconfirmed.discard(mid)
        self._sent += 1

    def _on_message(self, client: Client, userdata: Any, message: MQTTMessage) -> None:
        if message.topic == f"{self.config.discovery_prefix}/status":
            if message.payload == ONLINE.encode():
                self._introduce()
        elif message.payload and message.topic not in self._announced:
            # An entity of ours that is no more, such as one of a camera of another name.
            self._outbox.put_state(message.topic, b"")


def _make_tls_context(config: MqttConfig) -> ssl.SSLContext:
    tls = config.tls
    try:
        context = ssl.create_default_context(cafile=tls.ca)
        if tls.cert is not None:
            context.load_cert_chain(tls.cert, tls.key)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(str(path) for path in (tls.ca, tls.cert, tls.key) if path)
        raise ConfigError(f"mqtt.tls: {files}: cannot be used: {explain(error)}") from error
    return context


def _to_json(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode(errors="backslashreplace")
