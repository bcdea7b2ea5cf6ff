"""The `heat:` part of the configuration: when the device does less, and when it does more again."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationInfo, field_validator

from edgeseg.fields import Duration, Part

Celsius = Annotated[float, Field(ge=20, le=120)]


class HeatConfig(Part):
    """Limits of the heat and load ladder (ladder.py).

    warm_celsius: from here on the rate is lowered; hot_celsius: from here on, and while the board throttles itself,
    threads and input size are lowered too. hysteresis_celsius: how far below a limit the chip must have cooled before
    what that limit took is given back. max_age: results older than this lower rate and size. dwell: how long anything
    must last before the next rung down; climb: before the next one up. rates: frames a second of each camera, rung by
    rung. model: the smaller model; without it the bundled small one, where the model is the bundled one.

    The defaults keep below 80 °C, where a Raspberry Pi 4 or 5 begins to throttle itself.
    """

    enabled: bool = True
    warm_celsius: Celsius = 72.0
    hot_celsius: Celsius = 78.0
    hysteresis_celsius: Annotated[float, Field(ge=1, le=30)] = 5.0
    max_age: Duration = 0.25
    dwell: Duration = 15.0
    climb: Duration = 60.0
    rates: tuple[Annotated[float, Field(gt=0, le=1000)], ...] = (15.0, 8.0)
    model: Path | None = None

    @field_validator("hot_celsius")
    @classmethod
    def _hotter_than_warm(cls, hot: float, info: ValidationInfo) -> float:
        if hot <= (warm := info.data.get("warm_celsius", -273.0)):
            raise ValueError(f"must be above warm_celsius, which is {warm:g}")
        return hot

    @field_validator("rates")
    @classmethod
    def _falling(cls, rates: tuple[float, ...]) -> tuple[float, ...]:
        if any(later >= earlier for earlier, later in pairwise(rates)):
            raise ValueError("must fall from one to the next, for instance [15, 8]")
        return rates
