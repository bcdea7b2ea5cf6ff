from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml

from edgeseg.classes import CLASS_NAMES
from edgeseg.preprocess import normalise_float
from tests.scenes import write_streets
from tests.train.conftest import write_recipe
from train.__main__ import main
from train.architectures import ARCHITECTURES, build_network
from train.config import load_recipe
from train.run_folder import RunFolder


def split_drives(fields: dict[str, Any], kept: int = 3, held_out: int = 3, **changes: Any) -> dict[str, Any]:
    """A recipe that learns from some drives of its data set and is judged by every `held_out`-th."""
    for role, part, every in (("datasets", "kept", kept), ("validation", "held_out", held_out)):
        split = {"group": "^(drive[0-9]+)", "every": every, "part": part}
        fields[role] = [{**fields[role][0], "split": split, **changes}]
    return fields


def test_check_shows_shares_of_sound_data(
    tmp_path: Path, recipe_fields: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(write_recipe(tmp_path / "recipe.yaml", split_drives(recipe_fields)))]) == 0
    rows = [line.split("│")[2].strip() for line in capsys.readouterr().out.splitlines() if "│" in line]
    assert [row for row in rows if row] == ["8", "4"]


@pytest.mark.parametrize(("every", "shared", "first"), [(2, 4, "drive2_002.jpg"), (None, 12, "drive0_000.jpg")])
def test_check_names_what_is_in_training_and_in_validation(
    tmp_path: Path,
    recipe_fields: dict[str, Any],
    capsys: pytest.CaptureFixture[str],
    every: int | None,
    shared: int,
    first: str,
) -> None:
    """By two splits that do not fit together, or by one folder as both."""
    fields = recipe_fields if every is None else split_drives(recipe_fields, held_out=every)
    assert main(["check", str(write_recipe(tmp_path / "recipe.yaml", fields))]) == 65
    named, error = capsys.readouterr().err.strip().splitlines()
    assert named.startswith(f"validation 'streets' and training 'streets' share pictures: {shared}, the first /")
    assert f"{first}; scores on them flatter" in named
    assert "1 problems" in error


def test_check_reads_the_weights_that_training_would_start_from(
    tmp_path: Path, recipe_fields: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    start = {"path": str(tmp_path / "w.npz"), "source": "elsewhere", "licence": "drawn by the test"}
    recipe = str(write_recipe(tmp_path / "recipe.yaml", {**split_drives(recipe_fields), "pretrained": start}))
    np.savez(tmp_path / "w.npz", a=np.arange(1000))
    assert main(["check", recipe]) == 0
    content = bytearray((tmp_path / "w.npz").read_bytes())
    content[len(content) // 2] ^= 0xFF
    for wrong, says in (
        (bytes(content), "is damaged in a.npy"),
        (b"pointer", "cannot be read"),
        (None, "no such file"),
    ):
        (tmp_path / "w.npz").unlink()
        if wrong is not None:
            (tmp_path / "w.npz").write_bytes(wrong)
        assert main(["check", recipe]) == 65
        assert f"w.npz: {says}" in capsys.readouterr().err
        (tmp_path / "w.npz").touch()


def test_check_names_every_broken_pair_at_once(
    tmp_path: Path, recipe_fields: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    root = write_streets(tmp_path / "streets", 4)
    (root / "labels" / "drive0_000.png").unlink()
    (root / "images" / "drive1_001.jpg").write_bytes(b"")
    # Split between the two, the folder is looked through twice, but each fault is told once.
    fields = split_drives(recipe_fields, 2, 2, root=str(root))
    assert main(["check", str(write_recipe(tmp_path / "recipe.yaml", fields))]) == 65
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 3
    assert "drive0_000.jpg: has no mask" in lines[0]
    assert "drive1_001.jpg: the picture file is empty" in lines[1]
    assert lines[2].startswith("train: error: ")
    assert "2 problems" in lines[2]


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        ([], 2, "command"),
        (["fit"], 2, "recipe"),
        (["fit", "nano", "--out", "x", "--colour"], 2, "--colour"),
        (["check", "no-such-recipe"], 66, "no-such-recipe"),
        (["fit", "nano", "--out", "x", "--teacher", "best.keras"], 2, "the recipe nano has no `teacher:`"),
        (["fit", "nano_distilled", "--out", "x", "--teacher", "best.tflite"], 2, "give the best.keras of a run"),
        (["fit", "nano", "--out", "x", "--set", "epochs"], 2, "--set epochs: give KEY=VALUE"),
        (["check", "nano", "--set", "epochs=none"], 78, "epochs"),
        (["robustness", "nano", "--model", "m.tflite"], 2, "--out"),
        (["pseudo-label", "a.mp4", "--model", "no-such-run", "--out", "x"], 66, "no-such-run"),
        (["pseudo-label", "a.mp4", "--model", "x", "--out", "x", "--sure", "1.5"], 2, "sure above 0 and below 1"),
        (
            ["pseudo-label", "a.mp4", "--model", "x", "--out", "x", "--sure", "car=0.5"],
            2,
            "--sure car=0.5: 'car'",
        ),
        (["explain", "a.png", "--model", "x", "--class", "tree"], 2, "--class tree: not one of other, road"),
        (["explain", "no-such.png", "--model", "x"], 66, "no-such.png"),
        (["evaluate", "no-such-run"], 66, "no-such-run"),
        (["evaluate", "no-such-run", "--scales", "a,b"], 2, "--scales"),
    ],
)
def test_mistakes_get_one_line_and_their_code(
    arguments: list[str], code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("train: error: ")
    assert says in lines[0]


@pytest.fixture
def untrained_run(tmp_path: Path, recipe_fields: dict[str, Any], streets: Path) -> Path:
    """A run whose network has learnt nothing and sees every class somewhere: other views then change what it sees."""
    run = RunFolder.create(tmp_path / "run", load_recipe(write_recipe(tmp_path / "recipe.yaml", recipe_fields)))
    network = build_network(ARCHITECTURES["tiny"], (96, 128), len(CLASS_NAMES))
    picture = cv2.imread(str(min((streets / "images").iterdir())))
    scores = network.predict_on_batch(normalise_float(cv2.resize(picture, (128, 96)))[None])
    kernel, bias = network.get_layer("logits").get_weights()
    network.get_layer("logits").set_weights([kernel, bias - np.median(scores, axis=(0, 1, 2))])
    network.save(run.best_file)
    return run.path


def test_a_missing_validation_set_is_told_with_what_it_is_needed_for(
    untrained_run: Path, streets: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = untrained_run / "recipe.yaml"
    fields = yaml.safe_load(recipe.read_text())
    fields["validation"][0]["root"] = str(tmp_path / "away")
    recipe.write_text(yaml.safe_dump(fields))
    command = ["evaluate", str(untrained_run), "--dataset", str(streets), "--mapping", "edgeseg"]
    assert main(command) == 66
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "away" in line
    assert line.endswith("the scores are scaled on it, unless you give --as-trained")
    assert main([*command, "--as-trained"]) == 0


def test_evaluate_prints_json_for_a_folder_and_for_views(
    untrained_run: Path, streets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["evaluate", str(untrained_run), "--dataset", str(streets), "--mapping", "edgeseg", "--json"]
    assert main(command) == 0
    answer = json.loads(capsys.readouterr().out)
    (result,) = answer.values()
    assert set(result["iou"]) == set(CLASS_NAMES)
    assert sum(map(sum, result["confusion"])) == 12 * 96 * 128
    assert main([*command, "--as-trained"]) == 0
    (unscaled,) = json.loads(capsys.readouterr().out).values()
    assert unscaled["confusion"] != result["confusion"]
    # Scaled, what learnt nothing sees the commonest class alone.
    assert main([*command, "--as-trained", "--scales", "1,1.25", "--flip"]) == 0
    (fused,) = json.loads(capsys.readouterr().out).values()
    assert fused["confusion"] != unscaled["confusion"]


def test_evaluate_knows_what_a_run_learnt_from(
    untrained_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the same name as what it is validated on, in every shipped recipe."""
    recipe = yaml.safe_load((untrained_run / "recipe.yaml").read_text())
    recipe["validation"][0]["root"] = str(write_streets(tmp_path / "few", 3))
    (untrained_run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    for name, pictures in (("streets", 3), ("train:streets", 12)):
        assert main(["evaluate", str(untrained_run), "--dataset", name, "--json"]) == 0
        found = json.loads(capsys.readouterr().out)["streets"]["confusion"]
        assert sum(map(sum, found)) == pictures * 96 * 128
    assert main(["evaluate", str(untrained_run), "--dataset", "drives"]) == 2
    assert "not a data set of the run (train:streets, streets)" in capsys.readouterr().err
    for arguments, says in (
        (["--mapping", "edgeseg"], "--mapping edgeseg: is for a folder; give --dataset too"),
        (["--scales", "1,1.02"], "scales 1.0, 1.02: two come to one size (128x96, 128x96)"),
    ):
        assert main(["evaluate", str(untrained_run), *arguments]) == 2
        assert says in capsys.readouterr().err


def test_a_bug_of_ours_shows_its_traceback_and_has_a_code_of_its_own(
    untrained_run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("train.evaluate.evaluate_datasets", lambda *_: 1 // 0)
    assert main(["evaluate", str(untrained_run)]) == 70
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("Traceback")
    assert lines[-1] == "train: this is a bug in edgeseg; please report it with the lines above"


def test_a_picture_of_the_report_that_cannot_be_written_is_told(
    untrained_run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (untrained_run / "confusion.png").mkdir()
    assert main(["report", str(untrained_run)]) == 69
    assert "confusion.png: cannot be written: " in capsys.readouterr().err


def test_evaluate_wants_a_mapping_for_a_foreign_folder(
    untrained_run: Path, streets: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["evaluate", str(untrained_run), "--dataset", str(streets)]) == 2
    assert "--mapping" in capsys.readouterr().err
