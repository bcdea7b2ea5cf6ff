"""Compares a segmentation model that nobody here made with ours: same pictures, same evaluation, same timing.

    python -m benchmarks.peers MODEL.tflite|.onnx --classes cityscapes_trainids_on_camvid --dataset DIR --mapping camvid

`--classes` says, in the form of edgeseg/mappings, which class numbers of the model are ours; `--dataset` is a folder
with images/ and labels/, `--mapping` what its labels mean. Both must agree on what a bicycle is: a model of Cityscapes'
classes takes `cityscapes_trainids_on_camvid` on CamVid's labels, elsewhere `cityscapes_trainids`. What the file does
not say of itself (size, layout, normalisation, order of the colours) has a flag. Times are of the inference alone,
taken in turns with the bundled nano and with MobileNetV2 1.0 224 INT8 (built by TensorFlow once, and kept where
--yardstick says). ONNX wants `pip install -e '.[peers]'`.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from benchmarks.peer_model import NORMALISATIONS, Habits, PeerModel
from benchmarks.yardstick import NAME as YARDSTICK
from benchmarks.yardstick import build_apart
from edgeseg import benchmark
from edgeseg.classes import CLASS_NAMES
from edgeseg.errors import EdgesegError, SinkUnavailableError, UsageError
from edgeseg.evaluate import Evaluation, Predict, evaluate_pairs
from edgeseg.fields import parse_size
from edgeseg.labels import LabelMapping, Pair, find_pairs
from edgeseg.model_card import read_flatbuffer
from edgeseg.runtimes import open_interpreter
from edgeseg.segmenter import Segmenter
from edgeseg.sinks.files import prepare_folder, say_why


@dataclass(frozen=True)
class Comparison:
    """What was found: each model's evaluation, and the peer's inference against each reference by name."""

    peer: Evaluation
    ours: Evaluation
    timings: dict[str, benchmark.Comparison]
    threads: int

    def as_json(self) -> dict[str, Any]:
        return {
            "peer": self.peer.as_json(),
            "ours": self.ours.as_json(),
            "threads": self.threads,
            "timings": {
                name: {
                    "peer": found.model.as_json(),
                    "reference": found.reference.as_json(),
                    "ratio": round(found.ratio, 4),
                    "ratio_interval": [round(found.low, 4), round(found.high, 4)],
                }
                for name, found in self.timings.items()
            },
        }

    def quality(self) -> Table:
        """IoU per class and the mean of the foreground, in percent."""
        table = Table("model", *(f"{name} %" for name in CLASS_NAMES), "mean of the last three %")
        for found in (self.peer, self.ours):
            values = [*found.iou.values(), found.mean_iou_foreground]
            table.add_row(found.model, *(f"{100 * value:.2f}" if value == value else "-" for value in values))
        table.title = f"{self.peer.dataset} ({self.peer.images} pictures)"
        return table

    def speed(self) -> Table:
        """The inference of the peer and of each reference, taken in turns."""
        table = Table("against", "its p50 ms", "the peer's", "ratio", "95 %", title="inference alone")
        for name, found in self.timings.items():
            bounds = f"{found.low:.3f} to {found.high:.3f}"
            cells = f"{found.reference.p50_ms:.3f}", f"{found.model.p50_ms:.3f}", f"{found.ratio:.3f}", bounds
            table.add_row(name, *cells)
        return table


def compare(
    peer: PeerModel,
    segmenter: Segmenter,
    pairs: Sequence[Pair],
    mapping: LabelMapping,
    dataset: str,
    yardstick: Path | None,
    rounds: int,
    threads: int = 1,
) -> Comparison:
    """Evaluates both models on the pairs, then times the peer against ours and against the yardstick, when given."""

    def judge(name: str, predict: Predict, progress: Progress) -> Evaluation:
        task = progress.add_task(name, total=len(pairs))
        counts = evaluate_pairs(pairs, mapping, predict, lambda done, _: progress.update(task, completed=done))
        return Evaluation(dataset, mapping.name, name, len(pairs), counts)

    with Progress(console=Console(stderr=True), transient=True) as progress:
        found = judge(peer.path.name, peer.predict, progress)
        ours = judge(segmenter.card.name, segmenter.scores, progress)
    references: dict[str, Any] = {segmenter.card.name: segmenter.interpreter}
    if yardstick is not None:
        references[YARDSTICK] = open_interpreter(read_flatbuffer(yardstick), str(yardstick), threads=threads)[0]
    timings = {
        # It asks of either side no more than peer_model.Runtime has.
        name: benchmark.compare((peer.path.name, peer.runtime), (name, interpreter), rounds)  # type: ignore[arg-type]
        for name, interpreter in references.items()
    }
    return Comparison(found, ours, timings, threads)


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def _size(text: str) -> tuple[int, int]:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from error


def _channels(text: str) -> tuple[float, ...]:
    values = tuple(float(item) for item in text.split(","))
    if len(values) not in (1, 3) or not all(map(math.isfinite, values)):
        raise argparse.ArgumentTypeError(f"{text!r} is neither one finite number nor three with commas between them")
    return values * (3 // len(values))


def _deviations(text: str) -> tuple[float, ...]:
    values = _channels(text)
    if not all(value > 0 for value in values):
        raise argparse.ArgumentTypeError(f"{text!r}: what is divided by must be above 0")
    return values


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="python -m benchmarks.peers", description="Compare a foreign segmentation model with ours.")
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="a .tflite or an .onnx")
    add("--classes", required=True, metavar="NAME_OR_FILE", help="which class numbers of the model are which of ours")
    add("--dataset", type=Path, required=True, metavar="DIR", help="images/ and labels/")
    add("--mapping", required=True, metavar="NAME_OR_FILE", help="what the label values of --dataset mean")
    add("--size", type=_size, metavar="WxH", help="the input size, where the file leaves it open")
    add("--layout", choices=("nhwc", "nchw"), help="of input and scores (default: by the place of the 3 colours)")
    add("--bgr", action="store_true", help="the model wants blue first")
    add("--normalise", choices=tuple(NORMALISATIONS), help="what x is (default: -1..1; quantised: the pixel itself)")
    add(
        "--mean",
        type=_channels,
        metavar="R,G,B",
        help="of pixels 0..255, instead of --normalise; red first, with --bgr too",
    )
    add("--std", type=_deviations, metavar="R,G,B", help="of pixels 0..255, instead of --normalise")
    add("--fit", choices=("stretch", "letterbox"), default="stretch", help="how a picture is brought to the size")
    add("--against", type=Path, metavar="MODEL", help="one of ours to compare with (default: the bundled nano)")
    add("--yardstick", type=Path, metavar="FILE", help=f"{YARDSTICK}; built there when it is missing")
    add("--no-yardstick", action="store_true", help="do not build MobileNetV2, which needs TensorFlow")
    add("--rounds", type=int, default=100, help="of the timing")
    add("--threads", type=int, default=1)
    add("--json", type=Path, metavar="FILE", help="write all figures there")
    return parser


def _read_habits(options: argparse.Namespace) -> Habits:
    if (options.mean is None) != (options.std is None) or (options.mean and options.normalise):
        raise UsageError("give either --normalise or both of --mean and --std")
    mean, std = NORMALISATIONS[options.normalise] if options.normalise else (options.mean, options.std)
    if options.bgr and mean and std:
        mean, std = mean[::-1], std[::-1]
    return Habits(options.size, options.layout, options.bgr, mean, std, options.fit)


def _prepare_file(path: Path) -> None:
    """Sees, before minutes of measuring, that a file can be written. Raises SinkUnavailableError."""
    if not path.exists():
        prepare_folder(path.parent)
        return
    try:
        path.open("ab").close()
    except OSError as error:
        raise SinkUnavailableError(f"{path}: cannot be written: {say_why(error)}") from error


def run(options: argparse.Namespace) -> Comparison:
    """What the command does; prints the tables."""
    benchmark.check_rounds(options.rounds)
    mapping = LabelMapping.load(options.mapping)
    pairs = find_pairs(options.dataset / "images", options.dataset / "labels", mapping)
    peer = PeerModel(options.model, LabelMapping.load(options.classes), _read_habits(options), options.threads)
    with tempfile.TemporaryDirectory() as folder, Segmenter(options.against, options.threads) as segmenter:
        if options.json is not None:
            _prepare_file(options.json)
        yardstick = None
        if not options.no_yardstick:
            yardstick = build_apart(options.yardstick or Path(folder) / "yardstick.tflite")
        found = compare(
            peer, segmenter, pairs, mapping, str(options.dataset), yardstick, options.rounds, options.threads
        )
    console = Console()
    console.print(found.quality())
    console.print(found.speed())
    if options.json is not None:
        try:
            options.json.write_text(json.dumps(found.as_json(), indent=2, allow_nan=False) + "\n", "utf-8")
        except OSError as error:
            raise SinkUnavailableError(f"{options.json}: cannot be written: {say_why(error)}") from error
    return found


def main(arguments: list[str] | None = None) -> int:
    try:
        run(build_parser().parse_args(arguments))
    except EdgesegError as error:
        print(f"peers: error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
