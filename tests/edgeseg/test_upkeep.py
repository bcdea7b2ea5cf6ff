"""Upkeep: what the board says becomes what the run does, step by step, and each is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgeseg.board import Board
from edgeseg.errors import ModelError
from edgeseg.events import Events
from edgeseg.heat_config import HeatConfig
from edgeseg.pipeline import Segments
from edgeseg.upkeep import Upkeep
from tests.fakes import FakeSegmenter


class FakeRun:
    """Notes what it is asked to do."""

    def __init__(self) -> None:
        self.done: list[object] = []

    def limit_rate(self, fps: float | None) -> None:
        self.done.append(fps)

    def replace_segmenter(self, segmenter: Segments) -> None:
        self.done.append(segmenter)


class Device:
    """A board under a root of its own, whose temperature and time a test sets."""

    def __init__(self, root: Path, *, small_broken: bool = False) -> None:
        self._temperature = root / "sys/class/thermal/thermal_zone0/temp"
        self._temperature.parent.mkdir(parents=True)
        (self._temperature.parent / "type").write_text("cpu-thermal\n")
        self.now_s = 0.0
        self.run, self.events = FakeRun(), Events()
        self.opened: list[tuple[int, bool]] = []
        self._small_broken = small_broken
        config = HeatConfig.model_validate({"dwell": "5s", "climb": "20s"})
        self.upkeep = Upkeep(
            config, self.run, [], self.events, self.open, threads=2, small_model=True, board=Board(root),
            clock=lambda: self.now_s,
        )  # fmt: skip

    def open(self, threads: int, small: bool) -> Segments:
        self.opened.append((threads, small))
        if small and self._small_broken:
            raise ModelError("small.tflite: is damaged")
        return FakeSegmenter()

    def spend(self, seconds: int, temperature_c: float) -> None:
        self._temperature.write_text(f"{temperature_c * 1000:.0f}\n")
        for _ in range(2 * seconds):
            self.now_s += 0.5
            self.upkeep.tick()


def test_heat_lowers_rate_then_threads_then_size_and_all_comes_back(tmp_path: Path) -> None:
    device = Device(tmp_path)
    device.spend(10, 60)
    assert device.run.done == []
    device.spend(60, 90)
    assert device.opened == [(1, False), (1, True)]
    rates = [item for item in device.run.done if not isinstance(item, FakeSegmenter)]
    assert rates == [15, 8, 8, 8]
    assert device.upkeep.step.rung == 4
    device.spend(200, 50)
    assert device.upkeep.step.rung == 0
    assert device.opened[-1] == (2, False)
    assert device.run.done[-1] is None
    told = [event for event in device.events.recent() if event.kind == "heat_step"]
    assert [event.details["rung"] for event in told] == [1, 2, 3, 4, 3, 2, 1, 0]
    assert [event.level for event in told] == ["warning"] * 4 + ["info"] * 4
    assert told[0].details["temperature_c"] == 90


def test_a_model_that_is_gone_ends_nothing(tmp_path: Path) -> None:
    device = Device(tmp_path, small_broken=True)
    device.spend(60, 90)
    assert "small.tflite: is damaged" in [event.text for event in device.events.recent()]
    assert device.upkeep.step.rung == 4


def test_too_little_voltage_is_told_when_it_begins(tmp_path: Path) -> None:
    device = Device(tmp_path)
    firmware = tmp_path / "sys/devices/platform/soc/soc:firmware/get_throttled"
    firmware.parent.mkdir(parents=True)
    for flags in ("0", "1", "1", "0", "1"):
        firmware.write_text(flags)
        device.spend(2, 50)
    assert [event.kind for event in device.events.recent()] == ["under_voltage"] * 2


def test_the_board_is_read_once_a_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[int] = []
    device = Device(tmp_path)
    read = Board.read
    monkeypatch.setattr(Board, "read", lambda self: (reads.append(1), read(self))[1])
    device.spend(10, 50)
    assert len(reads) == 10
