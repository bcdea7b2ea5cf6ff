from __future__ import annotations

import errno
import io
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from rich.console import Console

import edgeseg
from convert import quantize
from convert.conversion import Request, convert
from convert.gate import GateFailedError
from convert.quantize import keras
from edgeseg.errors import DataError, InputNotFoundError, SinkUnavailableError, UsageError
from edgeseg.evaluate import evaluate
from edgeseg.labels import LabelMapping, find_pairs, read_pair
from edgeseg.model_card import read_card
from edgeseg.reliability import Reliability
from edgeseg.scaling import find_scaling
from edgeseg.segmenter import Segmenter
from tests.convert.conftest import build_color_network, write_run


@pytest.fixture
def console() -> Console:
    return Console(width=160, record=True, file=io.StringIO())


def test_writes_both_models_with_true_cards(color_run: Path, tmp_path: Path, console: Console) -> None:
    float_path, int8_path = convert(Request(color_run, tmp_path / "models"), console)
    assert sorted(path.name for path in (tmp_path / "models").iterdir()) == [
        "edgeseg-test-96x64-float32.tflite",
        "edgeseg-test-96x64-int8.tflite",
    ]
    assert int8_path == tmp_path / "models" / "edgeseg-test-96x64-int8.tflite"
    card = read_card(int8_path)
    assert (card.quantization, card.input_hw, card.output_stride) == ("int8", (64, 96), 4)
    assert card.licence == "CC0-1.0"
    assert card.version == edgeseg.__version__
    assert [item.name for item in card.trained_on] == ["drawn"]
    assert card.training_sha256 is not None
    assert read_card(float_path).quantization == "float32"

    mapping = LabelMapping.load("edgeseg")
    for path, key in ((int8_path, "edgeseg val"), (float_path, "edgeseg val, float32")):
        with Segmenter(path) as segmenter:
            measured = evaluate(color_run / "val", mapping, segmenter).metrics()
        assert card.metrics[key] == measured
    # The colours tell the classes apart, so the network may be surer than it was made.
    assert 0.1 <= card.temperature < 1
    for path in (int8_path, float_path):
        found = read_card(path)
        assert found.temperature == pytest.approx(card.temperature, rel=0.1)
        (calibration,) = found.calibration
        assert calibration.dataset == "edgeseg val"
        assert calibration.ece < 0.7 * calibration.ece_before
        assert sum(item.pixels for item in calibration.bins) == 6 * 100 * 150
        # What the card says is what leaves the graph.
        with Segmenter(path) as segmenter:
            counts = Reliability()
            for pair in find_pairs(color_run / "val" / "images", color_run / "val" / "labels", mapping):
                image, truth = read_pair(pair, mapping)
                counts.update(segmenter.scores(image), truth)
        assert counts.error() == pytest.approx(calibration.ece, abs=1e-4)
    # Blocks of 4x4 do not fall on the drawn edges, so not all of it can be right.
    assert card.metrics["edgeseg val"].mean_iou > 0.8


def test_another_size_and_another_set_can_be_asked_for(color_run: Path, tmp_path: Path, console: Console) -> None:
    request = Request(
        color_run,
        tmp_path,
        input_hw=(96, 160),
        calibration=[color_run / "val"],
        validation=color_run / "train",
        mapping="edgeseg",
    )
    _, int8_path = convert(request, console)
    assert int8_path.name == "edgeseg-test-160x96-int8.tflite"
    card = read_card(int8_path)
    assert card.input_hw == (96, 160)
    assert set(card.metrics) == {"edgeseg train", "edgeseg train, float32"}


def test_every_validation_set_of_the_run_is_judged(color_run: Path, tmp_path: Path, console: Console) -> None:
    run = tmp_path / "run"
    shutil.copytree(color_run, run)
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    split = {"group": "^(00.)", "every": 2, "part": "held_out"}
    recipe["validation"].append({"name": "part", "root": str(run / "train"), "mapping": "edgeseg", "split": split})
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    _, int8_path = convert(Request(run, tmp_path / "models", report=tmp_path / "report.html"), console)
    card = read_card(int8_path)
    sets = ["edgeseg val", "edgeseg train, held out drives"]
    assert set(card.metrics) == {*sets, *(f"{name}, float32" for name in sets)}
    assert [card.metrics[name].images for name in sets] == [6, 3]
    assert [item.dataset for item in card.calibration] == sets
    counted = [sum(item.pixels for item in calibration.bins) for calibration in card.calibration]
    assert counted == [6 * 100 * 150, 3 * 100 * 150]
    assert "class person on edgeseg train, held out drives" in " ".join(console.export_text().split())
    assert (tmp_path / "report.html").read_text().count("<h2>Quality on") == 2


def test_what_is_held_out_is_not_calibrated_on(color_run: Path, tmp_path: Path, console: Console) -> None:
    run = tmp_path / "run"
    shutil.copytree(color_run, run)
    recipe = yaml.safe_load((run / "recipe.yaml").read_text())
    recipe["datasets"][0]["root"] = str(run / "train")
    recipe["datasets"][0]["split"] = {"group": "^(00.)", "every": 2, "part": "kept"}
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    for name in ("000", "002", "004"):
        (run / "train" / "images" / f"{name}.png").write_bytes(b"whoever reads this fails")
    convert(Request(run, tmp_path / "models"), console)
    (run / "train" / "images" / "001.png").write_bytes(b"and this, too")
    with pytest.raises(DataError, match=r"001\.png"):
        convert(Request(run, tmp_path / "again"), console)


def test_misleading_calibration_fails_the_gate_and_leaves_nothing(
    color_run: Path, tmp_path: Path, console: Console
) -> None:
    """Calibrated on night, the scores of a sunny day do not fit into the ranges."""
    (tmp_path / "night").mkdir()
    cv2.imwrite(str(tmp_path / "night" / "a.png"), np.full((64, 96, 3), 120, np.uint8))
    models = tmp_path / "models"
    models.mkdir()
    (models / "edgeseg-test-96x64-int8.tflite").write_bytes(b"the one before")
    request = Request(color_run, models, calibration=[tmp_path / "night"], report=tmp_path / "report.html")
    with pytest.raises(GateFailedError, match=r"edgeseg-test-96x64-int8\.tflite: not written"):
        convert(request, console)
    assert [path.read_bytes() for path in models.iterdir()] == [b"the one before"]
    assert "FAIL" in console.export_text()
    assert "fails the gate" in (tmp_path / "report.html").read_text()


def test_op_off_xnnpack_fails_the_gate(tmp_path: Path, console: Console) -> None:
    colors = build_color_network()
    spoilt = keras.Model(colors.input, keras.layers.Activation("hard_swish")(colors.output), name="spoilt")
    run = write_run(tmp_path / "run", spoilt)
    with pytest.raises(GateFailedError) as caught:
        convert(Request(run, tmp_path / "models"), console)
    assert "HARD_SWISH" in str(caught.value)
    assert list((tmp_path / "models").iterdir()) == []
    # What no weights can scale is left as it is.
    assert "temperature and offsets" not in console.export_text()


def test_what_the_run_does_not_say_must_be_given(color_run: Path, tmp_path: Path, console: Console) -> None:
    lone = tmp_path / "lone.keras"
    lone.write_bytes((color_run / "best.keras").read_bytes())
    (tmp_path / "card.json").write_bytes((color_run / "card.json").read_bytes())
    with pytest.raises(UsageError, match="--calibration"):
        convert(Request(lone, tmp_path), console)
    with pytest.raises(UsageError, match="--validation"):
        convert(Request(lone, tmp_path, calibration=[color_run / "train"]), console)
    with pytest.raises(UsageError, match="--mapping"):
        convert(Request(lone, tmp_path, calibration=[color_run / "train"], validation=color_run / "val"), console)
    with pytest.raises(InputNotFoundError, match="nowhere"):
        convert(Request(color_run, tmp_path, calibration=[tmp_path / "nowhere"]), console)


@pytest.mark.parametrize("blocked", ["out", "report"])
def test_folder_that_cannot_be_written_is_named_before_the_work(
    color_run: Path, tmp_path: Path, console: Console, blocked: str
) -> None:
    place = tmp_path / "models"
    place.write_text("a file where the folder should be")
    request = Request(color_run, place) if blocked == "out" else Request(color_run, tmp_path, report=place / "r.html")
    with pytest.raises(SinkUnavailableError, match=r"models: cannot be written: file exists"):
        convert(request, console)
    assert console.export_text() == ""


class _GoneTerminal(io.StringIO):
    def write(self, text: str) -> int:
        if "conversion gate" in text:
            raise OSError(errno.EIO, "the terminal is gone")
        return super().write(text)


def test_trouble_with_something_else_is_not_laid_on_the_output(color_run: Path, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="the terminal is gone"):
        convert(Request(color_run, tmp_path / "models"), Console(width=160, file=_GoneTerminal()))
    assert list((tmp_path / "models").iterdir()) == []


def test_what_int8_shifts_is_found_on_the_int8_model_and_taken_back(
    color_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = quantize.convert_int8

    def shifting(network: keras.Model, samples: quantize.Samples) -> bytes:
        """A converter whose rounding makes all vehicles likelier."""
        kernel, bias = network.layers[-1].get_weights()
        network.layers[-1].set_weights([kernel, bias + np.float32([0, 0, 1.5, 0])])
        try:
            return exact(network, samples)
        finally:
            network.layers[-1].set_weights([kernel, bias])

    monkeypatch.setattr(quantize, "convert_int8", shifting)
    float_path, int8_path = convert(Request(color_run, tmp_path), Console(quiet=True))
    assert read_card(int8_path).offsets[2] == pytest.approx(read_card(float_path).offsets[2] - 1.5, abs=0.3)
    mapping = LabelMapping.load("edgeseg")
    pairs = find_pairs(color_run / "val" / "images", color_run / "val" / "labels", mapping)
    with Segmenter(int8_path) as segmenter:
        left = find_scaling(segmenter.scores, [(pairs, mapping)])
    assert np.abs(left.offsets).max() < 0.3
