"""The kinds of events that a run tells of, for whoever names some of them in a configuration."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, get_args

from pydantic import AfterValidator

from edgeseg.truth import Condition

KINDS = (
    "camera_back",
    "camera_lost",
    "config_refused",
    "config_reloaded",
    "corridor_drawn",
    "corridor_reset",
    "disk_full",
    "encoder_failed",
    "event_log_back",
    "event_log_lost",
    "heat_step",
    "model_refused",
    "mqtt_connected",
    "mqtt_lost",
    "person_in_path",
    *(f"picture_{condition}" for condition in get_args(Condition)),
    "push_live",
    "push_lost",
    "recording_late",
    "recording_paused",
    "recording_repaired",
    "recording_resumed",
    "segment_deleted",
    "segments_named",
    "under_voltage",
    "webhook_back",
    "webhook_lost",
)


def check_kind(text: str) -> str:
    """Returns a kind of event that there is: of another one nobody would ever hear. Raises ValueError."""
    if text in KINDS:
        return text
    close = get_close_matches(text, KINDS, 1)
    raise ValueError(
        "is no kind of event; " + (f"did you mean '{close[0]}'?" if close else f"there is {', '.join(KINDS)}")
    )


EventKind = Annotated[str, AfterValidator(check_kind)]
