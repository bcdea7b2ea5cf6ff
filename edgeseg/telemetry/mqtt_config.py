"""The `mqtt:` part of the configuration: which broker is told how the run does, and how it is addressed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import Field, PlainSerializer, PlainValidator, model_validator

from edgeseg.fields import Duration, Part

PORT, TLS_PORT = 1883, 8883


@dataclass(frozen=True, slots=True)
class Broker:
    """Where a broker listens; without a port at the usual one."""

    host: str
    port: int | None = None

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port is None else f"{host}:{self.port}"


def parse_broker(text: object) -> Broker:
    """Returns the broker that `HOST`, `HOST:PORT` or `[IPV6]:PORT` means. Raises ValueError."""
    match = (
        re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9._-]+)(?::(\d{1,5}))?", text) if isinstance(text, str) else None
    )
    if not match or (match[2] and not 0 < int(match[2]) <= 0xFFFF):
        raise ValueError("is no broker; write HOST or HOST:PORT, and user and password under keys of their own")
    return Broker(match[1].strip("[]"), int(match[2]) if match[2] else None)


BrokerField = Annotated[
    Broker,
    PlainValidator(parse_broker, json_schema_input_type=str),
    PlainSerializer(str, return_type=str, when_used="json"),
]
# What MQTT reads as a wildcard, and an empty level, have no place in a name.
Topic = Annotated[str, Field(pattern=r"^[^/+#\s\x00]+(/[^/+#\s\x00]+)*$", max_length=128)]
ClientId = Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")]


class TlsConfig(Part):
    """An encrypted connection. ca: whom to trust, the system's authorities when left out; cert and key: who we are."""

    enabled: bool = False
    ca: Path | None = None
    cert: Path | None = None
    key: Path | None = None

    @model_validator(mode="after")
    def _belong_together(self) -> TlsConfig:
        if not self.enabled and (self.ca or self.cert or self.key):
            raise ValueError("names files although it is not enabled; add enabled: true")
        if (self.cert is None) != (self.key is None):
            raise ValueError("needs cert and key together, or neither of them")
        return self


class MqttConfig(Part):
    """Which broker is told; without one nobody is.

    The password comes from EDGESEG_MQTT_PASSWORD or from password_file. client_id: made of the machine's id when left
    out, and part of every topic. interval: how often states are told at most; events are told when they happen.
    """

    broker: BrokerField | None = None
    tls: TlsConfig = TlsConfig()
    user: Annotated[str, Field(min_length=1)] | None = None
    password_file: Path | None = None
    client_id: ClientId | None = None
    prefix: Topic = "edgeseg"
    interval: Annotated[Duration, Field(ge=1, le=3600)] = 10.0
    discovery: bool = True
    discovery_prefix: Topic = "homeassistant"

    @property
    def port(self) -> int:
        """The broker's port, the usual one when none is given."""
        given = self.broker.port if self.broker else None
        return given or (TLS_PORT if self.tls.enabled else PORT)
