"""`edgeseg info`: what a model file says of itself, what its graph holds, and what it would run on here."""

from __future__ import annotations

import json
import platform
import sys
from collections import Counter
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from edgeseg.model_card import ModelCard
from edgeseg.runtimes import Interpreter, RuntimeChoice, RuntimeName, installed_runtimes
from edgeseg.segmenter import Segmenter, check_graph


@dataclass(frozen=True, slots=True)
class Tensor:
    """One end of a graph; `scale` and `zero_point` are None when it is not quantised."""

    shape: tuple[int, ...]
    dtype: str
    scale: float | None
    zero_point: int | None

    @classmethod
    def of(cls, details: dict[str, Any]) -> Tensor:
        scale, zero_point = details["quantization"]
        quantised = scale != 0
        shape = tuple(int(side) for side in details["shape"])
        return cls(
            shape,
            np.dtype(details["dtype"]).name,
            float(scale) if quantised else None,
            zero_point if quantised else None,
        )

    def __str__(self) -> str:
        text = f"{'x'.join(str(side) for side in self.shape)} {self.dtype}"
        return text if self.scale is None else f"{text}, scale {self.scale:.6g}, zero point {self.zero_point}"


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """A model and the place it runs. `operations` counts the graph's operations by name."""

    path: Path
    file_bytes: int
    card: ModelCard
    input: Tensor
    output: Tensor
    operations: dict[str, int]
    runtime: RuntimeName
    runtime_version: str
    installed: dict[str, str]
    machine: str

    def as_json(self) -> dict[str, Any]:
        return {
            "path": str(self.path),
            "file_bytes": self.file_bytes,
            "card": self.card.model_dump(mode="json"),
            "input": {name: getattr(self.input, name) for name in ("shape", "dtype", "scale", "zero_point")},
            "output": {name: getattr(self.output, name) for name in ("shape", "dtype", "scale", "zero_point")},
            "operations": self.operations,
            "runtime": {"name": self.runtime, "version": self.runtime_version, "installed": self.installed},
            "machine": self.machine,
        }

    def table(self) -> Table:
        card = self.card
        table = Table(title=f"{card.name} {card.version}".rstrip(), show_header=False)
        table.add_column("what", style="bold")
        table.add_column("value", overflow="fold")
        table.add_row("file", f"{self.path} ({self.file_bytes / 1e6:.2f} MB)")
        table.add_row("network", ", ".join(filter(None, (card.design, f"{card.params:,} parameters"))))
        table.add_row("quantisation", card.quantization)
        table.add_row("input", f"{self.input}; {card.input.color_order}, (pixel - 128) / 128, {card.input.fit}")
        table.add_row("output", str(self.output))
        table.add_row("classes", ", ".join(f"{item.name} {item.color}" for item in card.classes))
        if card.started_from:
            table.add_row("started from", card.started_from)
        if card.taught_by:
            table.add_row("taught by", card.taught_by)
        for item in card.trained_on:
            table.add_row("trained on", f"{item.name}: {item.images} pictures, {item.licence}")
        table.add_row("licence", card.licence or "not stated")
        for name, figures in card.metrics.items():
            ious = ", ".join(f"{key} {_percent(value)}" for key, value in figures.iou.items())
            table.add_row(f"IoU % on {name}", f"{ious}; mean {_percent(figures.mean_iou)}")
        for found in card.calibration:
            told = f"wrong by {100 * found.ece:.2f} points in the mean on {found.dataset}"
            table.add_row("confidence", f"{told} ({100 * found.ece_before:.2f} as trained)")
        if card.calibration:
            pairs = zip(card.offsets, card.class_names, strict=False)
            added = ", ".join(f"{offset:+.2f} {name}" for offset, name in pairs)
            table.add_row("scores", f"of training, divided by {card.temperature:g}{added and f', then {added}'}")
        table.add_row(
            "made", f"{card.created or 'date not stated'}; training run {card.training_sha256 or 'not stated'}"
        )
        table.add_row("operations", ", ".join(f"{count} {name}" for name, count in self.operations.items()))
        table.add_row("runs on", f"{self.runtime} {self.runtime_version}, {self.machine}")
        others = [f"{name} {version}" for name, version in self.installed.items() if name != self.runtime]
        table.add_row("also installed", ", ".join(others) or "no other runtime")
        return table


def describe(model: Path | None = None, runtime: RuntimeChoice = "auto") -> ModelInfo:
    """Read a model (the bundled one by default), load it as the device would, and tell about it.

    Raises what Segmenter raises for a model that cannot be used.
    """
    with Segmenter(model, runtime=runtime) as segmenter:
        source, scores = check_graph(segmenter.interpreter, segmenter.card, str(segmenter.path))
        return ModelInfo(
            path=segmenter.path,
            file_bytes=segmenter.path.stat().st_size,
            card=segmenter.card,
            input=Tensor.of(source),
            output=Tensor.of(scores),
            operations=count_operations(segmenter.interpreter),
            runtime=segmenter.runtime,
            runtime_version=runtime_version(segmenter.runtime),
            installed={name: runtime_version(name) for name in installed_runtimes()},
            machine=f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        )


def count_operations(interpreter: Interpreter) -> dict[str, int]:
    """How often each operation occurs in a graph, the most frequent first."""
    # What a delegate took over stays listed under its own name; the delegate's stand-ins are not the model's.
    names = (item["op_name"] for item in interpreter._get_ops_details())
    return dict(Counter(name for name in names if name != "DELEGATE").most_common())


def run(model: Path | None = None, *, runtime: RuntimeChoice = "auto", as_json: bool = False) -> ModelInfo:
    """The command: print a table or JSON to stdout."""
    info = describe(model, runtime)
    if as_json:
        sys.stdout.write(json.dumps(info.as_json(), indent=2, allow_nan=False) + "\n")
    else:
        Console().print(info.table())
    return info


def runtime_version(runtime: str) -> str:
    """The installed version of a runtime's package."""
    try:
        return metadata.version(runtime)
    except metadata.PackageNotFoundError:
        # TensorFlow also comes under other names (tensorflow-cpu, builds for Jetson).
        return "version unknown"


def _percent(ratio: float | None) -> str:
    return "-" if ratio is None else f"{100 * ratio:.1f}"
