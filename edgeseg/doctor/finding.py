"""Finding: what one check has seen, whether that is well, and what to do if it is not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Level = Literal["ok", "warning", "problem"]

#: From well to bad.
LEVELS: tuple[Level, ...] = ("ok", "warning", "problem")


@dataclass(frozen=True, slots=True)
class Finding:
    """One line about one thing. remedy: what to do, empty when it is well. details: JSON-ready values for programs.

    A warning is what works now and may not tomorrow, or what could not be found out; a problem keeps `edgeseg run`
    from doing what it is configured to do.
    """

    check: str
    level: Level
    text: str
    remedy: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if (self.level == "ok") == bool(self.remedy):
            raise ValueError(f"{self.check}: what is well needs no remedy, and what is not needs one: {self.text}")

    def record(self) -> dict[str, Any]:
        """Returns the finding as JSON-ready values."""
        return {
            "check": self.check,
            "level": self.level,
            "text": self.text,
            "remedy": self.remedy,
            "details": dict(self.details),
        }


def worst(findings: Iterable[Finding]) -> Level:
    """Returns the worst level among the findings, "ok" when there are none."""
    return max((finding.level for finding in findings), key=LEVELS.index, default="ok")
