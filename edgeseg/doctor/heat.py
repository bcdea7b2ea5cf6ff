"""How hot the board is, whether it throttles itself, and whether its power supply is enough."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from edgeseg.board import Board, BoardReading, board_name
from edgeseg.doctor.finding import Finding
from edgeseg.heat_config import HeatConfig

_POWER = "use the supply that belongs to the board (5 V 3 A for a Pi 4, 5 A for a Pi 5) and a short cable"
_COOLING = (
    "add a heat sink or a fan, or take it out of its box; meanwhile edgeseg does less (heat: in the configuration)"
)


def check_heat(
    root: Path = Path("/"), *, reading: BoardReading | None = None, limits: HeatConfig | None = None
) -> list[Finding]:
    """Reads the board once and judges it by the limits of the ladder."""
    reading = Board(root).read() if reading is None else reading
    limits = limits or HeatConfig()
    name = board_name(root) or "this machine"
    details = {"board": name, **asdict(reading)}
    findings = []
    if reading.under_voltage:
        findings.append(Finding("heat", "problem", f"{name} gets too little voltage", _POWER))
    elif reading.under_voltage_since_boot:
        findings.append(
            Finding("heat", "warning", f"{name} got too little voltage at times since it was started", _POWER)
        )
    if reading.throttled:
        findings.append(Finding("heat", "warning", f"{name} throttles itself now", _COOLING))
    elif reading.throttled_since_boot:
        findings.append(Finding("heat", "warning", f"{name} throttled itself at times since it was started", _COOLING))
    temperature = reading.temperature_c
    if temperature is None:
        text = f"{name} does not tell its temperature"
    else:
        text = f"{name}: {temperature:.0f} °C ({reading.zone})"
        if temperature >= limits.warm_celsius:
            findings.append(Finding("heat", "warning", f"{text}, above the limit of {limits.warm_celsius:g}", _COOLING))
    return [Finding("heat", "ok", text, details=details), *findings]
