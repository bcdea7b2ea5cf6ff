"""`edgeseg info` tells what is in a model file and what would run it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseg.errors import ModelError
from edgeseg.info import describe, run
from edgeseg.model_card import Calibration, Metrics, TrainingSet


@pytest.fixture
def model(make_model: Callable[..., Path], tmp_path: Path) -> Path:
    return make_model(
        tmp_path / "my model.tflite",
        version="3",
        architecture="tiny",
        width=1.5,
        params=196,
        licence="non-commercial research",
        trained_on=(TrainingSet(name="CamVid", licence="research", images=367),),
        metrics={"CamVid val": Metrics(iou={"road": 0.9512, "person": None}, mean_iou=0.7)},
        taught_by="edgeseg-small, research",
        temperature=1.25,
        offsets=(0.0, 0.0, 0.0, -1.5),
        calibration=(Calibration(dataset="CamVid val", ece_before=0.0312, ece=0.0049, bins=()),),
    )


def test_it_describes_graph_card_and_runtime(model: Path) -> None:
    info = describe(model)
    assert info.operations == {"CONV_2D": 1}
    assert info.input.shape == (1, 64, 96, 3)
    assert (info.input.scale, info.input.zero_point) == (1 / 128, 0)
    assert info.output.shape == (1, 16, 24, 4)
    assert info.output.dtype == "int8"
    assert info.file_bytes == model.stat().st_size
    assert info.runtime == "ai-edge-litert"
    assert info.installed[info.runtime] == info.runtime_version


def test_the_command_prints_json_or_a_table(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(model, as_json=True)
    printed = json.loads(capsys.readouterr().out)
    assert printed["card"]["trained_on"] == [{"name": "CamVid", "licence": "research", "images": 367}]
    assert printed["input"] == {"shape": [1, 64, 96, 3], "dtype": "int8", "scale": 1 / 128, "zero_point": 0}
    assert printed["runtime"]["name"] == "ai-edge-litert"
    run(model)
    table = capsys.readouterr().out
    for word in (
        "edgeseg-small, research",
        "wrong by 0.49 points",
        "divided by 1.25",
        "-1.50 person",
        "tiny 3",
        "tiny width 1.5, 196 parameters",
        "non-commercial research",
        "CamVid: 367 pictures",
        "road 95.1, person -",
        "1 CONV_2D",
    ):
        assert word in table


def test_a_float_model_has_no_scale(tiny_float_model: Path) -> None:
    info = describe(tiny_float_model)
    assert info.input.scale is None
    assert str(info.input) == "1x64x96x3 float32"


def test_a_model_that_cannot_be_used_is_refused(bare_models: Path) -> None:
    with pytest.raises(ModelError, match="no readable model card"):
        describe(bare_models / "int8.tflite")
