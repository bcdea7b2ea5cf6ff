"""`mqtt:` in the configuration."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgeseg.telemetry.mqtt_config import Broker, MqttConfig, parse_broker


@pytest.mark.parametrize(
    ("text", "broker", "port"),
    [
        ("broker.lan", Broker("broker.lan"), 1883),
        ("10.0.0.2:2883", Broker("10.0.0.2", 2883), 2883),
        ("[::1]:1884", Broker("::1", 1884), 1884),
        ("[fe80::2]", Broker("fe80::2"), 1883),
    ],
)
def test_a_broker_is_read_and_written(text: str, broker: Broker, port: int) -> None:
    assert parse_broker(text) == broker
    assert str(broker) == text
    assert MqttConfig.model_validate({"broker": text}).port == port


def test_with_tls_it_is_the_port_for_that() -> None:
    assert MqttConfig.model_validate({"broker": "broker.lan", "tls": {"enabled": True}}).port == 8883


@pytest.mark.parametrize(
    "values",
    [
        {"broker": "mqtt://broker.lan"},
        {"broker": "user:secret@broker.lan"},
        {"broker": "broker.lan:0"},
        {"broker": "broker.lan:70000"},
        {"broker": 1883},
        {"prefix": "edge/#"},
        {"prefix": "/edge"},
        {"client_id": "two words"},
        {"interval": "100ms"},
        {"tls": {"ca": "ca.pem"}},
        {"tls": {"enabled": True, "cert": "client.pem"}},
    ],
)
def test_what_cannot_be_is_refused(values: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        MqttConfig.model_validate(values)
