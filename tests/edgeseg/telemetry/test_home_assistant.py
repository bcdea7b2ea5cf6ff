"""What Home Assistant is told of its entities."""

from __future__ import annotations

import json
import re
from typing import Any

import jinja2
import pytest

from edgeseg.events import Events
from edgeseg.telemetry.home_assistant import (
    DEVICE_EVENT_TYPES,
    EVENT_TYPES,
    OTHER_EVENT,
    Topics,
    describe_entities,
    event_type,
)

TOPICS = Topics("edgeseg", "gate")


@pytest.fixture(scope="module")
def entities() -> dict[str, dict[str, Any]]:
    described = dict(describe_entities(TOPICS, ("front", "rear"), ("road", "person"), discovery_prefix="homeassistant"))
    return {topic: json.loads(json.dumps(content)) for topic, content in described.items()}


def test_every_entity_is_one_of_one_device_and_unavailable_without_the_run(entities: dict[str, dict[str, Any]]) -> None:
    unique = [content["unique_id"] for content in entities.values()]
    assert len(set(unique)) == len(unique) == 4 + 2 * 8
    for topic, content in entities.items():
        # <prefix>/<component>/<node>/<object>/config, of letters, digits, _ and -.
        assert re.fullmatch(r"homeassistant/(sensor|binary_sensor|event)/gate/[a-zA-Z0-9_-]+/config", topic)
        assert content["device"]["identifiers"] == ["gate"]
        assert content["origin"]["name"] == "edgeseg"
        assert content["availability"][0] == {"topic": "edgeseg/gate/availability"}
        assert content["availability_mode"] == "all"
        assert re.fullmatch(rf"{topic.split('/')[1]}\.[a-z0-9_]+", content["default_entity_id"])
        assert "needs" not in content


def test_what_is_measured_in_pictures_is_unavailable_without_them(entities: dict[str, dict[str, Any]]) -> None:
    share = entities["homeassistant/sensor/gate/front_share_person/config"]
    assert share["state_topic"] == "edgeseg/gate/front/state"
    assert share["unit_of_measurement"] == "%"
    assert share["availability"][1] == {
        "topic": "edgeseg/gate/front/connected",
        "payload_available": "ON",
        "payload_not_available": "OFF",
    }
    connection = entities["homeassistant/binary_sensor/gate/rear_connected/config"]
    assert connection["device_class"] == "connectivity"
    assert len(connection["availability"]) == 1


def test_events_have_types_that_were_announced(entities: dict[str, dict[str, Any]]) -> None:
    events = Events()
    announced = entities["homeassistant/event/gate/front_events/config"]["event_types"]
    assert announced == [*EVENT_TYPES, OTHER_EVENT]
    assert "picture_black" in announced
    kinds = [
        (events.add("person_in_path", "x", camera="front", change="begin"), "person_in_path_begin"),
        (events.add("camera_lost", "x", camera="front"), "camera_lost"),
        (events.add("something_new", "x", camera="front"), OTHER_EVENT),
        (events.add("heat_step", "x"), "heat_step"),
        (events.add("camera_lost", "x"), OTHER_EVENT),
    ]
    for event, expected in kinds:
        assert event_type(event) == expected
    of_the_device = entities["homeassistant/event/gate/events/config"]
    assert of_the_device["event_types"] == [*DEVICE_EVENT_TYPES, OTHER_EVENT]
    assert of_the_device["state_topic"] == "edgeseg/gate/event"


def test_templates_read_what_the_states_say(entities: dict[str, dict[str, Any]]) -> None:
    """Home Assistant's templates are Jinja2, which reads them here too."""
    state = {"fps": 9.5, "age_ms": 61.25, "shares": {"road": 0.1234}, "condition": "ok"}
    device = {"temperature_c": None, "rss_bytes": 5, "throttled": None}
    shown = {}
    for topic, content in entities.items():
        if (template := content.get("value_template")) is not None:
            values = state if content["state_topic"].endswith("/front/state") else device
            shown[topic.split("/")[3]] = jinja2.Template(template).render(value_json=values)
    assert shown["front_share_road"] == "12.34"
    # "None" makes a sensor unknown.
    assert shown["front_share_person"] == "None"
    assert (shown["front_fps"], shown["front_age"], shown["front_condition"]) == ("9.5", "61.25", "ok")
    assert (shown["temperature"], shown["throttled"]) == ("None", "None")
    throttled = entities["homeassistant/binary_sensor/gate/throttled/config"]["value_template"]
    render = jinja2.Template(throttled).render
    assert [render(value_json={"throttled": it}) for it in (True, False)] == ["ON", "OFF"]
