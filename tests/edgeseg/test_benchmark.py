"""`edgeseg bench` measures what it says it measures; how long that takes is not a test's business."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgeseg.benchmark import WARM_UP, Timing, compare, measure, run
from edgeseg.errors import InputNotFoundError, ModelError, UsageError
from edgeseg.runtimes import open_interpreter


class Clock:
    """A clock of one's own: a machine that stalls would take a sleep for slowness."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def perf_counter(self) -> float:
        return self.seconds


class Timed:
    """An interpreter that takes a known time of `clock`, `stumbles` of that at every tenth call, and notes them."""

    def __init__(self, clock: Clock, log: list[str], name: str, seconds: float, stumbles: float = 1) -> None:
        self.clock, self.log, self.name, self.seconds, self.stumbles = clock, log, name, seconds, stumbles

    def get_input_details(self) -> list[dict[str, object]]:
        return [{"index": 0, "shape": np.array([1, 2]), "dtype": np.float32}]

    def set_tensor(self, index: int, value: np.ndarray) -> None:
        assert value.shape == (1, 2)
        assert value.dtype == np.float32

    def invoke(self) -> None:
        self.log.append(self.name)
        self.clock.seconds += self.seconds * (self.stumbles if self.log.count(self.name) % 10 == 0 else 1)


def test_two_models_are_timed_in_turns_and_the_ratio_is_of_their_medians(monkeypatch: pytest.MonkeyPatch) -> None:
    log: list[str] = []
    clock = Clock()
    monkeypatch.setattr("edgeseg.benchmark.time", clock)
    slow, fast = Timed(clock, log, "slow", 0.006, stumbles=10), Timed(clock, log, "fast", 0.002)
    found = compare(("slow", slow), ("fast", fast), rounds=20)  # type: ignore[arg-type]
    assert len(log) == 2 * (WARM_UP + 20)
    pairs = list(zip(log[::2], log[1::2], strict=True))
    assert set(pairs) == {("slow", "fast"), ("fast", "slow")}
    assert found.against == "fast"
    assert (found.model.p50_ms, found.reference.p50_ms) == pytest.approx((6, 2))
    assert (found.low, found.ratio, found.high) == pytest.approx((3, 3, 3))


def test_the_stages_of_the_path_are_timed(tiny_model: Path) -> None:
    result = measure(tiny_model, rounds=10, size_wh=(320, 200))
    assert list(result.stages) == ["preprocess", "inference", "fusion", "decide", "overlay", "all"]
    for item in result.stages.values():
        assert 0 < item.best_ms <= item.p50_ms <= item.p95_ms
    assert result.stages["all"].p95_ms > max(item.p50_ms for name, item in result.stages.items() if name != "all")
    assert result.comparison is None
    assert result.runtime.startswith("ai-edge-litert ")


@pytest.mark.parametrize("kind", ["int8", "float32", "classifier"])
def test_any_tflite_can_be_measured_against_with_card_or_without(
    tiny_model: Path, bare_models: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    run(tiny_model, bare_models / f"{kind}.tflite", rounds=10, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    found = printed["comparison"]
    assert found["against"] == f"{kind}.tflite"
    assert found["ratio_interval"][0] <= found["ratio"] <= found["ratio_interval"][1]
    assert set(printed["stages"]["all"]) == {"best_ms", "p50_ms", "p95_ms"}


def test_the_table_shows_stages_and_comparison(tiny_model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tiny_model, tiny_model, rounds=10)
    printed = capsys.readouterr().out
    for word in ("preprocess", "overlay", "p95 ms", "in turns", "ratio of medians", "1 thread"):
        assert word in printed


def test_a_model_against_itself_is_random_input_of_the_right_kind(tiny_model: Path, bare_models: Path) -> None:
    interpreter, _ = open_interpreter((bare_models / "int8.tflite").read_bytes(), "tiny")
    compare(("a", interpreter), ("b", interpreter), rounds=10)
    filled = interpreter.get_tensor(interpreter.get_input_details()[0]["index"])
    assert filled.min() == -128
    assert filled.max() == 127


def test_timing_takes_percentiles() -> None:
    assert Timing.of([float(value) for value in range(101)]) == Timing(0.0, 50.0, 95.0)


def test_what_cannot_be_measured_is_refused(tiny_model: Path, tmp_path: Path, make_model: Callable[..., Path]) -> None:
    with pytest.raises(UsageError, match="at least 10 rounds"):
        measure(tiny_model, rounds=3)
    with pytest.raises(InputNotFoundError, match=r"none\.tflite"):
        measure(tiny_model, tmp_path / "none.tflite", rounds=10)
    (tmp_path / "text.tflite").write_text("a text, not a model")
    with pytest.raises(ModelError, match=r"text\.tflite: not a TFLite model"):
        measure(tiny_model, tmp_path / "text.tflite", rounds=10)
