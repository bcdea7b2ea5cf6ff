"""The whole conversion in order: scale the scores, quantise, run both models on labelled pictures, judge, write."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from convert.calibrate import choose_images, iterate_samples, list_images, spread
from convert.card import Quantization, describe, name_file, write_model
from convert.gate import enforce, judge_loss, judge_ops, tabulate
from convert.graph import read_ops
from convert.labelled import LabelledSet, open_all
from convert.report import write_report
from convert.trained import Trained, read_trained
from convert.verify import Comparison, Confidence, compare
from edgeseg.errors import SinkUnavailableError, UsageError
from edgeseg.model_card import Calibration, Metrics, ModelCard, read_card
from edgeseg.scaling import Scaling, find_scaling
from edgeseg.segmenter import Segmenter
from edgeseg.sinks.files import prepare_folder, say_why


@dataclass(frozen=True, slots=True)
class Request:
    """What to convert and how to judge it; what is not given is taken from the run.

    source: a run folder or a .keras. input_hw: the model's input size. calibration: folders of pictures. validation: a
    folder with images/ and labels/; mapping: what its label values mean. report: a page to write.
    """

    source: Path
    out: Path
    input_hw: tuple[int, int] | None = None
    calibration: Sequence[Path] = ()
    validation: Path | None = None
    mapping: str | None = None
    report: Path | None = None


def check_sizes(source: Path, sizes_hw: Sequence[tuple[int, int]]) -> None:
    """Raises ModelError when the network cannot be had for one of several sizes, before the minutes of the first."""
    if len(sizes_hw) > 1:
        from convert.quantize import load_network, resize_network

        network = load_network(read_trained(source).network)
        for input_hw in sizes_hw:
            resize_network(network, input_hw)


def convert(request: Request, console: Console) -> tuple[Path, Path]:
    """Converts; returns the paths of the float32 and the INT8 model. Shows its steps and the verdict on `console`.

    Raises GateFailedError when INT8 is not as good as float; `request.out` then holds nothing new, the report says why.
    """
    trained = read_trained(request.source)
    input_hw = request.input_hw or trained.card.input_hw
    images = _choose_calibration(request, trained)
    datasets = open_all(_choose_validation(request, trained))
    # All that the user may have got wrong is told before the minutes of work.
    prepare_folder(request.out)
    if request.report is not None:
        prepare_folder(request.report.parent)

    # Imported late: TensorFlow takes seconds, and a wrong path should be told at once.
    from convert.quantize import (
        convert_float,
        convert_int8,
        fold_scaling,
        has_linear_end,
        load_network,
        resize_network,
    )
    from convert.rounding import PICTURES, round_weights

    console.print(f"{trained.network}: converting for {input_hw[1]}x{input_hw[0]}")
    network = resize_network(load_network(trained.network), input_hw)
    as_trained = Scaling.none(len(trained.card.classes))
    scalings: dict[Quantization, Scaling] = {"float32": as_trained, "int8": as_trained}

    def describe_model(
        quantization: Quantization, metrics: dict[str, Metrics], calibration: Sequence[Calibration] = ()
    ) -> ModelCard:
        return describe(
            trained.card,
            input_hw=input_hw,
            output_hw=network.output_shape[1:3],
            quantization=quantization,
            metrics=metrics,
            temperature=scalings[quantization].temperature,
            offsets=scalings[quantization].offsets,
            calibration=calibration,
        )

    def make_true(model: Any, flatbuffer: bytes, quantization: Quantization, scaled: Scaling) -> None:
        """Folds into a network what its scores, already `scaled`, lack as it was converted."""
        count = sum(len(dataset.pairs) for dataset in datasets)
        console.print(f"finding temperature and offsets of the {quantization} scores on {count} pictures")
        with _open_folder(request.out) as folder:
            with _naming(request.out):
                write_model(folder / "unscaled.tflite", flatbuffer, describe_model(quantization, {}))
            with Segmenter(folder / "unscaled.tflite") as segmenter:
                found = find_scaling(segmenter.scores, [(dataset.pairs, dataset.mapping) for dataset in datasets])
        fold_scaling(model, found.temperature, found.offsets)
        scalings[quantization] = scaled.then(found)

    def quantise(model: Any) -> bytes:
        return convert_int8(model, lambda: iterate_samples(images, input_hw, trained.card.input.fit))

    float_bytes = convert_float(network)
    scalable = has_linear_end(network) and all(op.builtin for op in read_ops(float_bytes))
    if scalable:
        make_true(network, float_bytes, "float32", as_trained)
        float_bytes = convert_float(network)
    console.print(f"calibrating on {len(images)} pictures")
    some = images[:: max(1, -(-len(images) // PICTURES))]
    rounded = round_weights(network, iterate_samples(some, input_hw, trained.card.input.fit))
    int8_bytes = quantise(rounded)
    if scalable and all(op.builtin for op in read_ops(int8_bytes)):
        # Rounding shifts the classes' scores against each other, too.
        make_true(rounded, int8_bytes, "int8", scalings["float32"])
        int8_bytes = quantise(rounded)
    ops = read_ops(int8_bytes)
    findings = judge_ops(ops)

    if not all(op.builtin for op in ops):
        # No runtime loads it, so there is nothing to compare.
        console.print(tabulate(findings))
        if request.report is not None:
            sizes = len(float_bytes), len(int8_bytes)
            write_report(request.report, describe_model("int8", {}), ops, findings, (), sizes)
        enforce(findings, trained.card.name)

    with _open_folder(request.out) as folder:

        def write(
            flatbuffer: bytes,
            quantization: Quantization,
            metrics: dict[str, Metrics],
            calibration: Sequence[Calibration] = (),
        ) -> Path:
            card = describe_model(quantization, metrics, calibration)
            path = folder / name_file(card)
            with _naming(request.out):
                write_model(path, flatbuffer, card)
            return path

        # Both files need a card before the device's Segmenter takes them, and figures before they leave this folder.
        float_path, int8_path = write(float_bytes, "float32", {}), write(int8_bytes, "int8", {})
        comparisons = [compare(float_path, int8_path, dataset, console) for dataset in datasets]
        was = {item.before.dataset: item.before.metrics() for item in comparisons}
        now = {item.after.dataset: item.after.metrics() for item in comparisons}
        write(float_bytes, "float32", was, _list_calibration(comparisons, lambda item: item.float_confidence))
        figures = now | {f"{name}, float32": found for name, found in was.items()}
        write(int8_bytes, "int8", figures, _list_calibration(comparisons, lambda item: item.int8_confidence))
        for item in comparisons:
            findings += judge_loss(item.before.iou, item.after.iou, item.after.dataset if len(datasets) > 1 else "")
        console.print(tabulate(findings))
        if request.report is not None:
            sizes = float_path.stat().st_size, int8_path.stat().st_size
            write_report(request.report, read_card(int8_path), ops, findings, comparisons, sizes)
        enforce(findings, int8_path.name)
        with _naming(request.out):
            return float_path.replace(request.out / float_path.name), int8_path.replace(request.out / int8_path.name)


def _list_calibration(
    comparisons: Sequence[Comparison], choose: Callable[[Comparison], Confidence]
) -> list[Calibration]:
    """As a card holds it: of each data set on which a pixel was labelled."""
    found = (choose(item).calibration(item.after.dataset) for item in comparisons)
    return [item for item in found if item is not None]


def _choose_calibration(request: Request, trained: Trained) -> list[Path]:
    if request.calibration:
        return choose_images(request.calibration)
    if not trained.trained_on:
        raise UsageError(
            f"{request.source}: no recipe beside it names pictures to calibrate on; give --calibration DIR"
        )
    # Of a folder that was divided, the part that was trained on: what is held out must stay unknown.
    return spread(
        [
            [pair.image for pair in labelled.open().pairs] if labelled.split else list_images(labelled.root)
            for labelled in trained.trained_on
        ]
    )


def _choose_validation(request: Request, trained: Trained) -> Sequence[LabelledSet]:
    if request.validation is not None:
        if request.mapping is None:
            raise UsageError(f"{request.validation}: say what its label values mean with --mapping")
        return [LabelledSet(request.validation, request.mapping)]
    if request.mapping is not None:
        raise UsageError(f"--mapping {request.mapping}: is for --validation; give both, or neither")
    if not trained.validation:
        raise UsageError(f"{request.source}: no recipe beside it names a validation set; give --validation DIR")
    return trained.validation


@contextmanager
def _open_folder(out: Path) -> Iterator[Path]:
    """A folder inside `out` for files that have not passed yet; gone afterwards with all that was not moved away."""
    with _naming(out):
        folder = tempfile.TemporaryDirectory(prefix=".converting-", dir=out)
    with folder as name:
        yield Path(name)


@contextmanager
def _naming(out: Path) -> Iterator[None]:
    """Makes SinkUnavailableError, which names `out`, of an OSError in writing there."""
    try:
        yield
    except OSError as error:
        raise SinkUnavailableError(f"{out}: models cannot be written there: {say_why(error)}") from error
