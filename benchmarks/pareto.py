"""What a millisecond buys: our models and others' in one picture, IoU against time.

    python -m benchmarks.pareto --dataset DIR --mapping camvid [--model MODEL.tflite ...] [--peer [NAME=]FILE.json ...]

`--model` names ours (default: the bundled ones); `--peer` is what `python -m benchmarks.peers ... --json FILE` wrote.
Time is a multiple of MobileNetV2 1.0 224 INT8, taken in turns with it on one thread, so that points of several machines
can stand in one picture; benchmarks/references.yaml has those that no command here measures. The picture goes to
`--out`, its figures beside it. Needs TensorFlow or --yardstick, and matplotlib, which `edgeseg[train]` brings.
"""

from __future__ import annotations

import argparse
import itertools
import json
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import yaml
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.yardstick import NAME, build_apart
from edgeseg import benchmark
from edgeseg.errors import DataError, EdgesegError, SinkUnavailableError, UsageError, explain
from edgeseg.evaluate import evaluate
from edgeseg.labels import LabelMapping, find_pairs
from edgeseg.model_card import read_card
from edgeseg.segmenter import Segmenter

REFERENCES = Path(__file__).with_name("references.yaml")


@dataclass(frozen=True)
class Point:
    """A model in the picture. times_yardstick: its inference time over that of MobileNetV2 1.0 224 INT8."""

    name: str
    mean_iou: float
    times_yardstick: float
    measured_on: str
    ours: bool = False


def _short(dataset: str) -> str:
    """camvid/val of any/where/camvid/val."""
    return "/".join(Path(dataset).parts[-2:])


def measure(model: Path, dataset: Path, mapping: LabelMapping, yardstick: Path, rounds: int) -> Point:
    """One of our models, by the device's own path, on one thread."""
    with Segmenter(model) as segmenter:
        found = evaluate(dataset, mapping, segmenter)
    timing = benchmark.measure(model, yardstick, rounds=rounds).comparison
    assert timing is not None
    return Point(
        model.stem.removeprefix("edgeseg-"), found.mean_iou_foreground, timing.ratio, _short(str(dataset)), ours=True
    )


def read_peer(given: str) -> Point:
    """What benchmarks.peers wrote: FILE or NAME=FILE.

    Raises DataError when it is something else or knows nothing of the yardstick.
    """
    name, _, file = given.rpartition("=")
    path = Path(file)
    try:
        found = json.loads(path.read_text("utf-8"))
        peer, timing = found["peer"], found["timings"][NAME]
        if found["threads"] != 1:
            raise ValueError(f"timed with {found['threads']} threads; here it takes one")
        return Point(
            name or peer["model"], float(peer["mean_iou_foreground"]), float(timing["ratio"]), _short(peer["dataset"])
        )
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: not what `benchmarks.peers --json` writes with a yardstick: {error!r}") from error


def read_references(path: Path = REFERENCES) -> list[Point]:
    raw = yaml.safe_load(path.read_text("utf-8"))
    return [Point(measured_on=raw["measured_on"], **item) for item in raw["points"]]


def front(points: list[Point]) -> list[Point]:
    """Those that no other one beats in both, from the fastest to the most accurate."""
    best: list[Point] = []
    for point in sorted(points, key=lambda item: (item.times_yardstick, -item.mean_iou)):
        if not best or point.mean_iou > best[-1].mean_iou:
            best.append(point)
    return best


def draw(points: list[Point], path: Path) -> Axes:
    """Ours filled and joined along their front, others hollow, with a marker for each set of pictures."""
    figure = Figure(figsize=(8.5, 4.6), layout="constrained")
    axes: Axes = figure.subplots()
    axes.set_xscale("log")
    sets = list(dict.fromkeys(point.measured_on for point in points))
    markers = dict(zip(sets, itertools.cycle("osD^vPX*"), strict=False))
    for measured_on, marker in markers.items():
        for ours in (True, False):
            drawn = [item for item in points if (item.measured_on, item.ours) == (measured_on, ours)]
            color = "tab:blue" if ours else "dimgray"
            label = f"{'edgeseg' if ours else 'others'}, {measured_on}"
            axes.scatter(
                [item.times_yardstick for item in drawn],
                [100 * item.mean_iou for item in drawn],
                s=60,
                marker=marker,
                facecolors=color if ours else "none",
                edgecolors=color,
                label=label if drawn else None,
                zorder=3,
            )
    best = front([point for point in points if point.ours])
    axes.plot(
        [item.times_yardstick for item in best], [100 * item.mean_iou for item in best], color="tab:blue", alpha=0.5
    )
    for point in points:
        place = (point.times_yardstick, 100 * point.mean_iou)
        # Beside the point; what stands far to the right goes above it, and ours by turns below and above their line.
        side, shift = ("center", (0, 8)) if point.times_yardstick > 40 else ("left", (8, -13 if point.ours else 5))
        if point in best[1::2]:
            side, shift = "right", (-8, 5)
        axes.annotate(point.name, place, xytext=shift, textcoords="offset points", fontsize=8, ha=side)
    axes.axvline(1, color="tab:green", linestyle=":", label=f"{NAME} (classifies, the yardstick)")
    axes.set(
        xlabel=f"time of one picture, times that of {NAME}, one thread", ylabel="mean IoU of road, vehicle, person, %"
    )
    ticks = (0.5, 1, 2, 5, 10, 20, 50, 100)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    times = [point.times_yardstick for point in points]
    axes.set_xlim(min(0.3, 0.6 * min(times)), max(220, 1.6 * max(times)))
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper right")
    figure.savefig(path, dpi=130)
    return axes


def main() -> int:
    parser = argparse.ArgumentParser(description="Draw models in a plane of IoU and time.")
    add = parser.add_argument
    add("--dataset", type=Path, required=True, metavar="DIR", help="images/ and labels/")
    add("--mapping", required=True, metavar="NAME_OR_FILE", help="what the label values of --dataset mean")
    add("--model", type=Path, action="append", metavar="FILE", help="one of ours (default: the bundled ones)")
    add("--peer", action="append", default=[], metavar="[NAME=]FILE", help="written by benchmarks.peers --json")
    add("--yardstick", type=Path, metavar="FILE", help=f"{NAME}; built there when it is missing")
    add("--rounds", type=int, default=200, help="of the timing")
    add("--out", type=Path, default=Path("pareto.png"), metavar="FILE.png")
    options = parser.parse_args()
    bundled = Path(benchmark.__file__).with_name("models").glob("*.tflite")
    try:
        # Before minutes of measuring, not after them.
        benchmark.check_rounds(options.rounds)
        if options.out.suffix != ".png" or not options.out.parent.is_dir():
            raise UsageError(f"--out {options.out}: give the name of a .png in a folder that is there")
        mapping = LabelMapping.load(options.mapping)
        models = options.model or sorted(bundled)
        find_pairs(options.dataset / "images", options.dataset / "labels", mapping)
        for model in models:
            read_card(model)
        points = read_references() + [read_peer(given) for given in options.peer]
        with tempfile.TemporaryDirectory() as folder:
            yardstick = build_apart(options.yardstick or Path(folder) / "yardstick.tflite")
            for model in models:
                points.append(measure(model, options.dataset, mapping, yardstick, options.rounds))
        try:
            draw(points, options.out)
            figures = json.dumps([asdict(point) for point in points], indent=2, allow_nan=False)
            options.out.with_suffix(".json").write_text(figures + "\n", "utf-8")
        except OSError as error:
            raise SinkUnavailableError(f"{options.out}: cannot be written: {explain(error)}") from error
    except EdgesegError as error:
        print(f"pareto: error: {error}", file=sys.stderr)
        return error.exit_code
    for point in points:
        print(f"{point.name:34s} {100 * point.mean_iou:5.1f} %  {point.times_yardstick:6.2f}  {point.measured_on}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
