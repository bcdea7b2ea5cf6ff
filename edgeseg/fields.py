"""What every typed file has in common, be it a configuration, a model card, a label mapping or a recipe."""

from __future__ import annotations

import re

from pydantic import BaseModel, ConfigDict


class Part(BaseModel):
    """A mapping in a file: read-only, and a key it does not know is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def parse_size(text: object) -> tuple[int, int]:
    """Returns the (width, height) that `1280x720` means. Raises ValueError, whose message follows what was written."""
    match = re.fullmatch(r"([1-9]\d{0,4})x([1-9]\d{0,4})", text) if isinstance(text, str) else None
    if not match:
        raise ValueError("is not a size; write for instance 1280x720")
    return int(match[1]), int(match[2])
