from __future__ import annotations

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest

from convert.trained import read_trained
from edgeseg.errors import SinkUnavailableError, UsageError
from edgeseg.model_card import ModelCard
from tests.train.conftest import recipe_of, write_recipe, write_teacher
from tests.train.tiny_training import design_tiny
from train.__main__ import main
from train.architectures import ARCHITECTURES, build_network
from train.average import average_runs
from train.config import Teacher, load_recipe
from train.fit import fit_recipe
from train.run_folder import RunFolder


@pytest.fixture(scope="module")
def runs(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Two runs that start from one network and differ by their seed; its first layers are frozen."""
    place = tmp_path_factory.mktemp("runs")
    build_network(design_tiny(), (96, 128), 4).save(place / "start.keras")
    start = {"path": str(place / "start.keras"), "source": "an earlier run", "licence": "drawn by the test"}
    fields = {**recipe_of(streets), "pretrained": start, "freeze": 4, "epochs": 1}
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(ARCHITECTURES, "tiny", design_tiny())
        recipe = load_recipe(write_recipe(place / "recipe.yaml", fields))
        for seed in (0, 1):
            fit_recipe(recipe.model_copy(update={"seed": seed}), place / f"seed{seed}")
    return [place / "seed0", place / "seed1"]


@pytest.mark.usefixtures("recipe_fields")  # for the network that it makes known
def test_an_average_is_a_run_with_the_mean_of_the_weights(runs: list[Path], tmp_path: Path) -> None:
    matrices = average_runs(runs, tmp_path / "average")
    one, two, mean = (
        keras.saving.load_model(folder / "best.keras", compile=False) for folder in (*runs, tmp_path / "average")
    )
    frozen, moved = 0, 0
    for layer in mean.layers:
        pairs = zip(one.get_layer(layer.name).weights, two.get_layer(layer.name).weights, layer.weights, strict=True)
        for left, right, found in pairs:
            if "moving" in left.path and not layer.name.startswith(("stem", "block0", "block1_expand")):
                # Measured anew, for the averaged weights.
                moved += not np.allclose(found, (np.asarray(left) + np.asarray(right)) / 2, atol=1e-6)
                continue
            frozen += np.array_equal(left, right)
            np.testing.assert_allclose(found, (np.asarray(left) + np.asarray(right)) / 2, atol=1e-6)
    assert frozen
    assert moved

    card = ModelCard.model_validate_json((tmp_path / "average" / "card.json").read_text())
    measured = card.metrics["streets validation, float32 Keras"]
    assert measured.mean_iou_foreground == pytest.approx(matrices["streets"].mean_iou_foreground(), abs=1e-4)
    assert card.training_sha256 == RunFolder(tmp_path / "average").fingerprint()
    assert card.started_from == "an earlier run, drawn by the test"
    origin = json.loads((tmp_path / "average" / "run.json").read_text())["average_of"]
    assert origin == [RunFolder(run).fingerprint() for run in runs]
    # `python -m convert` takes it as it takes any run.
    assert read_trained(tmp_path / "average").card == card


@pytest.mark.usefixtures("recipe_fields")
def test_a_run_is_averaged_with_what_it_started_from(
    runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    start = runs[0].parent / "start.keras"
    assert main(["average", str(runs[0]), "--with-start", "--out", str(tmp_path / "out")]) == 0
    assert "mean without other" in capsys.readouterr().out
    files = (start, runs[0] / "best.keras", tmp_path / "out" / "best.keras")
    one, two, mean = (keras.saving.load_model(file, compile=False).trainable_variables for file in files)
    assert any(not np.array_equal(left, right) for left, right in zip(one, two, strict=True))
    for left, right, found in zip(one, two, mean, strict=True):
        np.testing.assert_allclose(found, (np.asarray(left) + np.asarray(right)) / 2, atol=1e-6)
    origin = json.loads((tmp_path / "out" / "run.json").read_text())
    assert origin["average_of"] == [RunFolder(runs[0]).fingerprint(), origin["pretrained_sha256"]]

    # What lies there now may be another network.
    _, recipe = RunFolder.open(runs[0])
    assert recipe.pretrained is not None
    shutil.copytree(runs[0], tmp_path / "moved")
    build_network(design_tiny(), (96, 128), 4).save(tmp_path / "start.keras")
    moved = recipe.pretrained.model_copy(update={"path": tmp_path / "start.keras"})
    RunFolder(tmp_path / "moved").move(recipe.model_copy(update={"pretrained": moved}))
    with pytest.raises(UsageError, match=r"start\.keras: is not what .*moved started from"):
        average_runs([tmp_path / "moved"], tmp_path / "again", with_start=True)
    assert not (tmp_path / "again").exists()


@pytest.mark.usefixtures("recipe_fields")
def test_an_average_of_taught_runs_says_who_taught_them(runs: list[Path], tmp_path: Path) -> None:
    _, recipe = RunFolder.open(runs[0])
    teachers = [write_teacher(tmp_path / "wide"), write_teacher(tmp_path / "other")]
    teachers[1].write_bytes(teachers[1].read_bytes() + b"\0")  # another file, if not another network
    taught = {name: tmp_path / name for name in ("one", "two", "elsewhere")}
    for index, (teacher, folder) in enumerate(zip((*teachers[:1], *teachers), taught.values(), strict=True)):
        lesson = Teacher(model=teacher, weight=0.1)
        run = RunFolder.create(folder, recipe.model_copy(update={"teacher": lesson, "seed": index}))
        shutil.copy(runs[index % 2] / "best.keras", run.best_file)
        card = ModelCard.model_validate_json((runs[0] / "card.json").read_text())
        run.write_card(card.model_copy(update={"taught_by": "edgeseg-wide, drawn by the test"}))
    average_runs([taught["one"], taught["two"]], tmp_path / "average")
    card = ModelCard.model_validate_json((tmp_path / "average" / "card.json").read_text())
    assert card.taught_by == "edgeseg-wide, drawn by the test"
    assert RunFolder.open(tmp_path / "average")[1].teacher is None
    with pytest.raises(UsageError, match=r"elsewhere: started from other weights than .*, or with another teacher"):
        average_runs([taught["one"], taught["elsewhere"]], tmp_path / "out")


@pytest.mark.usefixtures("recipe_fields")
def test_what_does_not_average_is_told(runs: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="two runs or more"):
        average_runs([runs[0], runs[0]], tmp_path / "out")
    _, recipe = RunFolder.open(runs[0])
    assert recipe.pretrained is not None
    drawn = {
        "random": None,
        "encoder": recipe.pretrained.model_copy(update={"path": tmp_path / "encoder.npz"}),
        "part": recipe.pretrained.model_copy(update={"partial": True}),
    }
    changes = {"longer": {"epochs": 9}, **{name: {"pretrained": it, "freeze": None} for name, it in drawn.items()}}
    for name, change in changes.items():
        RunFolder.create(tmp_path / name, recipe.model_copy(update=change))
    with pytest.raises(UsageError, match=r"longer: differs from .* by more than its seed: epochs"):
        average_runs([runs[0], tmp_path / "longer"], tmp_path / "out")
    for name in drawn:
        with pytest.raises(UsageError, match=f"{name}: each seed drew layers anew at its start"):
            average_runs([tmp_path / name, runs[0]], tmp_path / "out")
    (tmp_path / "start.keras").write_bytes(b"another network")
    start = recipe.pretrained.model_copy(update={"path": tmp_path / "start.keras"})
    RunFolder.create(tmp_path / "elsewhere", recipe.model_copy(update={"pretrained": start}))
    with pytest.raises(UsageError, match="elsewhere: started from other weights"):
        average_runs([runs[0], tmp_path / "elsewhere"], tmp_path / "out")
    # Training does not write into what is not its own.
    shutil.copytree(runs[0], tmp_path / "copy")
    for name in ("checkpoint.npz", "metrics.csv"):
        (tmp_path / "copy" / name).unlink()
    with pytest.raises(UsageError, match="copy: already holds a network that is no run's"):
        fit_recipe(recipe, tmp_path / "copy", resume=True)
    assert main(["average", str(runs[0]), str(tmp_path / "none"), "--out", str(tmp_path / "out")]) == 66
    assert "none: holds no run" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.usefixtures("recipe_fields")
def test_where_no_average_can_go_nothing_is_computed(
    runs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, recipe = RunFolder.open(runs[0])
    RunFolder.create(tmp_path / "begun", recipe)
    for name in ("best.keras", "checkpoint.npz"):
        (tmp_path / name).mkdir()
        shutil.copy(runs[0] / name, tmp_path / name)
    (tmp_path / "file").write_text("")
    monkeypatch.setattr("train.average.estimate_statistics", lambda *_: pytest.fail("it has begun"))
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for out in (runs[0], *(tmp_path / name for name in ("begun", "best.keras", "checkpoint.npz"))):
        with pytest.raises(UsageError, match=f"{out.name}: already holds a run or a network; choose another folder"):
            average_runs(runs, out)
    with pytest.raises(SinkUnavailableError, match=r"file/run: cannot hold a run: .*; choose another --out"):
        average_runs(runs, tmp_path / "file" / "run")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before
