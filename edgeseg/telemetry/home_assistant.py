"""Home Assistant: what it must be told once so that a camera's states appear as entities of one device.

One retained message for each entity, `PREFIX/COMPONENT/CLIENT/ENTITY/config`, as its MQTT integration has read them
since 2019: https://www.home-assistant.io/integrations/mqtt/#mqtt-discovery
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, get_args

from edgeseg import __version__
from edgeseg.events import Event
from edgeseg.truth import Condition

ON, OFF = "ON", "OFF"
ONLINE, OFFLINE = "online", "offline"

#: What an event entity may be told; Home Assistant refuses what was not announced. Others come as OTHER_EVENT.
EVENT_TYPES = (
    "person_in_path_begin",
    "person_in_path_end",
    "camera_lost",
    "camera_back",
    *(f"picture_{condition}" for condition in get_args(Condition)),
    "disk_full",
    "recording_paused",
    "recording_resumed",
    "push_lost",
    "push_live",
)
DEVICE_EVENT_TYPES = ("config_reloaded", "config_refused", "heat_step", "under_voltage", "segment_deleted")
OTHER_EVENT = "other"


@dataclass(frozen=True, slots=True)
class Topics:
    """Where what is told: everything lies under PREFIX/CLIENT, what is of a camera under its name."""

    prefix: str
    client_id: str

    @property
    def availability(self) -> str:
        return f"{self.prefix}/{self.client_id}/availability"

    @property
    def device(self) -> str:
        return f"{self.prefix}/{self.client_id}/state"

    def events(self, camera: str | None) -> str:
        return f"{self.prefix}/{self.client_id}/{f'{camera}/' if camera else ''}event"

    def camera(self, camera: str) -> str:
        return f"{self.prefix}/{self.client_id}/{camera}/state"

    def connected(self, camera: str) -> str:
        return f"{self.prefix}/{self.client_id}/{camera}/connected"

    def person_in_path(self, camera: str) -> str:
        return f"{self.prefix}/{self.client_id}/{camera}/person_in_path"


def event_type(event: Event) -> str:
    """Returns what the event entity calls an event; the two ends of one that lasts are two types."""
    change = event.details.get("change")
    kind = f"{event.kind}_{change}" if isinstance(change, str) else event.kind
    return kind if kind in (EVENT_TYPES if event.camera else DEVICE_EVENT_TYPES) else OTHER_EVENT


def describe_entities(
    topics: Topics, cameras: Iterable[str], classes: Iterable[str], *, discovery_prefix: str
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields the topic and the content of every discovery message."""
    device = {
        "identifiers": [topics.client_id],
        "name": topics.client_id,
        "manufacturer": "edgeseg",
        "model": "road segmentation",
        "sw_version": __version__,
    }
    common: dict[str, Any] = {"device": device, "origin": {"name": "edgeseg", "sw_version": __version__}}
    running = {"topic": topics.availability}
    entities = [*_of_the_device(topics)]
    for camera in cameras:
        entities += _of_a_camera(topics, camera, tuple(classes))
    for component, name, content in entities:
        # What is measured in pictures is unknown while there are none.
        camera_topic = content.pop("needs", None)
        availability = [running]
        if camera_topic is not None:
            availability.append({"topic": camera_topic, "payload_available": ON, "payload_not_available": OFF})
        unique_id = f"{topics.client_id}_{name}"
        yield (
            f"{discovery_prefix}/{component}/{topics.client_id}/{name}/config",
            {
                **content,
                "unique_id": unique_id,
                # An id of letters, digits and _; read since 2025.10, before that one is made of the names.
                "default_entity_id": f"{component}.{unique_id.lower().replace('-', '_')}",
                "availability": availability,
                "availability_mode": "all",
                **common,
            },
        )


Entity = tuple[str, str, dict[str, Any]]


def _of_the_device(topics: Topics) -> Iterator[Entity]:
    state = {"state_topic": topics.device, "entity_category": "diagnostic"}
    yield (
        "sensor",
        "temperature",
        {
            **state,
            "name": "Temperature",
            "device_class": "temperature",
            "unit_of_measurement": "°C",
            "state_class": "measurement",
            "value_template": "{{ value_json.temperature_c }}",
        },
    )
    yield (
        "sensor",
        "memory",
        {
            **state,
            "name": "Memory",
            "device_class": "data_size",
            "unit_of_measurement": "B",
            "state_class": "measurement",
            "value_template": "{{ value_json.rss_bytes }}",
        },
    )
    yield (
        "binary_sensor",
        "throttled",
        {
            **state,
            "name": "Throttled",
            "device_class": "problem",
            "value_template": "{{ {true: 'ON', false: 'OFF'}.get(value_json.throttled, 'None') }}",
        },
    )
    yield "event", "events", _event_entity(topics.events(None), "Events", DEVICE_EVENT_TYPES)


def _of_a_camera(topics: Topics, camera: str, classes: tuple[str, ...]) -> Iterator[Entity]:
    def sensor(key: str, name: str, template: str, unit: str | None, **more: Any) -> Entity:
        content = {
            "name": f"{camera} {name}",
            "state_topic": topics.camera(camera),
            "value_template": template,
            "state_class": "measurement",
            "needs": topics.connected(camera),
            **({"unit_of_measurement": unit} if unit else {}),
            **more,
        }
        return "sensor", f"{camera}_{key}", content

    for name in classes:
        # Without a picture there is no share, which "None" says.
        template = (
            f"{{{{ (value_json.shares['{name}'] * 100) | round(2) if '{name}' in value_json.shares else 'None' }}}}"
        )
        yield sensor(f"share_{name}", f"share of {name}", template, "%")
    yield sensor("fps", "rate", "{{ value_json.fps }}", "fps", entity_category="diagnostic")
    yield sensor(
        "age",
        "age of results",
        "{{ value_json.age_ms }}",
        "ms",
        device_class="duration",
        entity_category="diagnostic",
    )
    condition = {
        "name": f"{camera} picture",
        "state_topic": topics.camera(camera),
        "value_template": "{{ value_json.condition }}",
        "needs": topics.connected(camera),
    }
    yield "sensor", f"{camera}_condition", condition
    yield (
        "binary_sensor",
        f"{camera}_connected",
        {
            "name": f"{camera} connection",
            "state_topic": topics.connected(camera),
            "device_class": "connectivity",
            "entity_category": "diagnostic",
        },
    )
    yield (
        "binary_sensor",
        f"{camera}_person_in_path",
        {
            "name": f"{camera} person in path",
            "state_topic": topics.person_in_path(camera),
            "device_class": "occupancy",
            "needs": topics.connected(camera),
        },
    )
    yield "event", f"{camera}_events", _event_entity(topics.events(camera), f"{camera} events", EVENT_TYPES)


def _event_entity(topic: str, name: str, types: tuple[str, ...]) -> dict[str, Any]:
    return {"name": name, "state_topic": topic, "event_types": [*types, OTHER_EVENT]}


def discovery_filter(prefix: str, client_id: str) -> str:
    """Returns the topic filter that all discovery messages of this client match."""
    return f"{prefix}/+/{client_id}/+/config"
