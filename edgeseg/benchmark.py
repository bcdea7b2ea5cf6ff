"""`edgeseg bench`: what each stage costs on this machine, and how a model compares with another in the same runtime.

Times of two models are taken in turns, in one process and one run: machines change speed with heat and with their
neighbours, and only what is measured side by side can be divided.
"""

from __future__ import annotations

import json
import platform
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from rich.console import Console, Group
from rich.table import Table

from edgeseg.errors import ModelError, UsageError
from edgeseg.frame import Frame
from edgeseg.fusion import TemporalFusion
from edgeseg.info import runtime_version
from edgeseg.model_card import read_flatbuffer
from edgeseg.overlay import draw_overlay
from edgeseg.runtimes import Interpreter, RuntimeChoice, open_interpreter
from edgeseg.segmenter import Segmenter

#: Rounds before the measured ones: they pay for first touches of memory and for the processor's clock to rise.
WARM_UP = 10
MIN_ROUNDS = 10
_FRAME_INTERVAL_NS = 33_333_333


@dataclass(frozen=True, slots=True)
class Timing:
    """Milliseconds of one stage over all rounds; `best_ms` is what it takes when nothing else wants the machine."""

    best_ms: float
    p50_ms: float
    p95_ms: float

    @classmethod
    def of(cls, samples_ms: list[float]) -> Timing:
        best, p50, p95 = np.percentile(samples_ms, [0, 50, 95])
        return cls(float(best), float(p50), float(p95))

    def as_json(self) -> dict[str, float]:
        return {name: round(getattr(self, name), 4) for name in ("best_ms", "p50_ms", "p95_ms")}

    def cells(self) -> tuple[str, str, str]:
        return f"{self.best_ms:.3f}", f"{self.p50_ms:.3f}", f"{self.p95_ms:.3f}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Inference alone, model and reference in turns. `ratio` is of the medians, model / reference; `low` and `high`
    bound it with 95 % confidence (bootstrap over the rounds)."""

    against: str
    model: Timing
    reference: Timing
    ratio: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Benchmark:
    """What was measured, and on what."""

    model: str
    size_wh: tuple[int, int]
    rounds: int
    threads: int
    runtime: str
    machine: str
    stages: dict[str, Timing]
    comparison: Comparison | None

    def as_json(self) -> dict[str, Any]:
        found = self.comparison
        return {
            "model": self.model,
            "size_wh": list(self.size_wh),
            "rounds": self.rounds,
            "threads": self.threads,
            "runtime": self.runtime,
            "machine": self.machine,
            "stages": {name: item.as_json() for name, item in self.stages.items()},
            "comparison": found
            and {
                "against": found.against,
                "model": found.model.as_json(),
                "reference": found.reference.as_json(),
                "ratio": round(found.ratio, 4),
                "ratio_interval": [round(found.low, 4), round(found.high, 4)],
            },
        }

    def render(self) -> Group:
        width, height = self.size_wh
        stages = _table(f"{self.model}, {width}x{height} pictures, {self.rounds} rounds", "stage")
        for name, item in self.stages.items():
            if name == "all":
                stages.add_section()
            stages.add_row(name, *item.cells())
        parts: list[Any] = [stages]
        if self.comparison is not None:
            found = self.comparison
            table = _table("inference alone, in turns", "model")
            table.add_row(self.model, *found.model.cells())
            table.add_row(found.against, *found.reference.cells())
            parts += [table, f"ratio of medians {found.ratio:.3f} (95 %: {found.low:.3f} to {found.high:.3f})"]
        parts.append(f"{self.runtime}, {self.threads} thread(s), {self.machine}")
        return Group(*parts)


def _table(title: str, first: str) -> Table:
    table = Table(title=title)
    table.add_column(first)
    for heading in ("best ms", "p50 ms", "p95 ms"):
        table.add_column(heading, justify="right")
    return table


def time_stages(segmenter: Segmenter, rounds: int, size_wh: tuple[int, int]) -> dict[str, Timing]:
    """Time each stage of the device's path over a moving picture, and `all` of them together."""
    fusion = TemporalFusion()
    scene = _scene(size_wh)
    samples: dict[str, list[float]] = {}
    for index in range(WARM_UP + rounds):
        image = np.ascontiguousarray(scene[:, 2 * (index % 32) :][:, : size_wh[0]])
        frame = Frame(image, index, index * _FRAME_INTERVAL_NS, "bench")
        segmentation = segmenter.segment(frame, fusion)
        started = time.perf_counter()
        draw_overlay(frame.image, segmentation)
        spent = {**segmentation.timings, "overlay": (time.perf_counter() - started) * 1e3}
        spent["all"] = sum(spent.values())
        if index >= WARM_UP:
            for stage, milliseconds in spent.items():
                samples.setdefault(stage, []).append(milliseconds)
    return {stage: Timing.of(values) for stage, values in samples.items()}


def check_rounds(rounds: int) -> None:
    """Raises UsageError for fewer rounds than a median is worth anything of."""
    if rounds < MIN_ROUNDS:
        raise UsageError(f"a benchmark needs at least {MIN_ROUNDS} rounds, got {rounds}")


def compare(
    model: tuple[str, Interpreter], reference: tuple[str, Interpreter], rounds: int, seed: int = 0
) -> Comparison:
    """Time two models' invoke() in turns, changing who goes first, on random input of each one's shape and type."""
    generator = np.random.default_rng(seed)
    contestants = (model[1], reference[1])
    for name, interpreter in (model, reference):
        _fill(interpreter, name, generator)
    samples: NDArray[np.float64] = np.zeros((2, rounds))
    for index in range(-WARM_UP, rounds):
        for which in (0, 1) if index % 2 else (1, 0):
            spent = _milliseconds(contestants[which].invoke)
            if index >= 0:
                samples[which, index] = spent
    # Rounds are drawn in pairs: what slowed one contestant down in a round slowed the other, too.
    drawn = generator.integers(0, rounds, (1000, rounds))
    medians = np.median(samples[:, drawn], axis=2)
    low, high = np.percentile(medians[0] / medians[1], [2.5, 97.5])
    ratio = float(np.median(samples[0]) / np.median(samples[1]))
    ours, theirs = (Timing.of(row.tolist()) for row in samples)
    return Comparison(reference[0], ours, theirs, ratio, float(low), float(high))


def measure(
    model: Path | None = None,
    against: Path | None = None,
    *,
    threads: int = 1,
    runtime: RuntimeChoice = "auto",
    rounds: int = 200,
    size_wh: tuple[int, int] = (1280, 720),
) -> Benchmark:
    """Time a model's stages and, when asked, its inference against any other .tflite in the same runtime.

    Raises UsageError for senseless numbers, ModelError for a file that is no model or takes what cannot be made up.
    """
    check_rounds(rounds)
    with Segmenter(model, threads, runtime) as segmenter:
        comparison = None
        if against is not None:
            reference, _ = open_interpreter(read_flatbuffer(against), str(against), segmenter.runtime, threads)
            comparison = compare((segmenter.card.name, segmenter.interpreter), (against.name, reference), rounds)
        return Benchmark(
            model=segmenter.card.name,
            size_wh=size_wh,
            rounds=rounds,
            threads=threads,
            runtime=f"{segmenter.runtime} {runtime_version(segmenter.runtime)}",
            machine=f"{platform.machine()}, OpenCV {cv2.__version__} with {cv2.getNumThreads()} thread(s)",
            stages=time_stages(segmenter, rounds, size_wh),
            comparison=comparison,
        )


def run(
    model: Path | None = None,
    against: Path | None = None,
    *,
    threads: int = 1,
    runtime: RuntimeChoice = "auto",
    rounds: int = 200,
    as_json: bool = False,
) -> Benchmark:
    """The command: measure, print a table or JSON to stdout."""
    result = measure(model, against, threads=threads, runtime=runtime, rounds=rounds)
    if as_json:
        sys.stdout.write(json.dumps(result.as_json(), indent=2, allow_nan=False) + "\n")
    else:
        Console().print(result.render())
    return result


def _scene(size_wh: tuple[int, int]) -> NDArray[Any]:
    """A picture with edges at all scales, wider than asked for, so that a window can pan over it."""
    width, height = size_wh[0] + 64, size_wh[1]
    generator = np.random.default_rng(0)
    scene: NDArray[np.float32] = np.zeros((height, width, 3), np.float32)
    for cells in (4, 16, 64):
        noise = generator.random((cells * height // width + 1, cells, 3), dtype=np.float32)
        scene += np.asarray(cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC), np.float32)
    return np.clip(scene * 85, 0, 255).astype(np.uint8)


def _fill(interpreter: Interpreter, name: str, generator: np.random.Generator) -> None:
    for details in interpreter.get_input_details():
        shape, dtype = tuple(details["shape"]), np.dtype(details["dtype"])
        if dtype.kind in "iu":
            bounds = np.iinfo(dtype)
            values = generator.integers(max(bounds.min, -128), min(bounds.max, 255), shape, dtype, endpoint=True)
        elif dtype.kind == "f":
            values = generator.uniform(-1, 1, shape).astype(dtype)
        elif dtype.kind == "b":
            values = generator.integers(0, 2, shape).astype(bool)
        else:
            raise ModelError(f"{name}: its input is of type {dtype}, for which no random input can be made")
        interpreter.set_tensor(details["index"], values)


def _milliseconds(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return (time.perf_counter() - started) * 1e3
