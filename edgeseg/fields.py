"""What every typed file has in common, be it a configuration, a model card, a label mapping or a recipe."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainValidator

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


class Part(BaseModel):
    """A mapping in a file: read-only, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def parse_size(text: object) -> tuple[int, int]:
    """Returns the (width, height) that `1280x720` means. Raises ValueError, whose message follows what was written."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text) if isinstance(text, str) else None
    if not match:
        raise ValueError("is not a size; write for instance 1280x720")
    return int(match[1]), int(match[2])


def parse_duration(text: object) -> float:
    """Returns the seconds that `10s`, `500ms`, `1.5m` or `2h` mean. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h)", text) if isinstance(text, str) else None
    seconds = float(match[1]) * _UNITS_S[match[2]] if match else 0.0
    if not seconds:
        raise ValueError("is not a duration; write for instance 10s, 500ms, 2m or 1h")
    return seconds


#: Seconds, written in a file as `parse_duration` reads them.
Duration = Annotated[float, PlainValidator(parse_duration)]
