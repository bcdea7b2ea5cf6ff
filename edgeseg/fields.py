"""What every typed file has in common, be it a configuration, a model card, a label mapping or a recipe."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, PlainSerializer, PlainValidator, WithJsonSchema

_UNITS_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}
_UNITS_BYTES = {"kB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


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
    """Returns the seconds that `10s`, `500ms`, `1.5m`, `2h` or `7d` mean. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)", text) if isinstance(text, str) else None
    seconds = float(match[1]) * _UNITS_S[match[2]] if match else 0.0
    if not seconds:
        raise ValueError("is not a duration; write for instance 10s, 500ms, 2m or 1h")
    return seconds


def parse_bytes(text: object) -> int:
    """Returns the bytes that `500MB`, `20GB` or `1.5GiB` mean. Raises ValueError."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kMGT]B|[KMG]iB)", text) if isinstance(text, str) else None
    count = round(float(match[1]) * _UNITS_BYTES[match[2]]) if match else 0
    if not count:
        raise ValueError("is not a size of data; write for instance 500MB or 20GB")
    return count


def format_duration(seconds: float) -> str:
    """Returns seconds as `parse_duration` reads them."""
    return f"{seconds * 1e3:g}ms" if seconds < 1 else f"{seconds:g}s"


def format_bytes(count: int) -> str:
    """Returns bytes as `parse_bytes` reads them."""
    for unit in ("TB", "GB", "MB", "GiB", "MiB", "KiB"):
        if count % _UNITS_BYTES[unit] == 0:
            return f"{count // _UNITS_BYTES[unit]}{unit}"
    return f"{count / 1000:.3f}kB"


#: Seconds, written in a file as `parse_duration` reads them.
Duration = Annotated[
    float,
    PlainValidator(parse_duration),
    PlainSerializer(format_duration, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*(ms|s|m|h|d)$", "examples": ["10s", "500ms"]}),
]
#: Bytes, written in a file as `parse_bytes` reads them.
DataSize = Annotated[
    int,
    PlainValidator(parse_bytes),
    PlainSerializer(format_bytes, return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^\d+(\.\d+)?\s*([kMGT]B|[KMG]iB)$", "examples": ["500MB", "20GB"]}),
]
#: (width, height), written in a file as `parse_size` reads them.
Size = Annotated[
    tuple[int, int],
    PlainValidator(parse_size),
    PlainSerializer(lambda size: f"{size[0]}x{size[1]}", return_type=str, when_used="json"),
    WithJsonSchema({"type": "string", "pattern": r"^[1-9]\d{0,4}x[1-9]\d{0,4}$", "examples": ["1280x720"]}),
]
