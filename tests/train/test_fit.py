from __future__ import annotations

import json
import shutil
import signal
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from convert.trained import read_trained
from edgeseg.errors import DataError, InputNotFoundError, UsageError
from edgeseg.model_card import ModelCard
from tests.train.conftest import recipe_of, write_recipe, write_teacher
from tests.train.runs import finish, read_rows, start_training
from train.config import load_recipe
from train.fit import fit_recipe
from train.run_folder import RunFolder

PICTURES = ("curves.png", "confusion.png", "predictions.png")


def find_children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """False too for a process that has ended and that nobody has asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def read_checkpoint(folder: Path) -> tuple[list[dict[str, float]], dict[str, NDArray[Any]]]:
    """The rows, as exact as they were computed and without what the clock said, and all variables."""
    with np.load(folder / "checkpoint.npz") as archive:
        variables = dict(archive.items())
    rows = json.loads(str(variables.pop("rows")))
    return [{key: value for key, value in row.items() if key != "seconds"} for row in rows], variables


@dataclass(frozen=True)
class Finished:
    """A run that was left alone, and its recipe."""

    recipe: Path
    folder: Path


@pytest.fixture(scope="module")
def finished(streets: Path, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    fields = {**recipe_of(streets), "epochs": 4, "steps_per_epoch": 12, "batch_size": 4}
    # Rates at which every step moves the weights and their average, so that a state that is lost shows.
    fields["optimizer"] = {"lr": 0.01, "ema": 0.8, "warmup_epochs": 0.5}
    fields["augmentation"] = {"scale": [0.9, 1.2], "color_p": 0.0}
    place = tmp_path_factory.mktemp("finished")
    # With a teacher, so that what a run needs of it is part of what must outlive a kill.
    fields["teacher"] = {"model": str(write_teacher(place / "teacher")), "weight": 0.1}
    recipe, folder = write_recipe(place / "recipe.yaml", fields), place / "run"
    with start_training(recipe, folder) as process:
        finish(process, folder)
    return Finished(recipe, folder)


@pytest.mark.slow
def test_a_run_killed_by_sigkill_continues_exactly(finished: Finished, tmp_path: Path) -> None:
    whole, broken = finished.folder, tmp_path / "broken"
    with start_training(finished.recipe, broken) as process:
        deadline = time.monotonic() + 200
        # The checkpoint is the last thing that an epoch writes: from here on there is something to resume.
        while not (broken / "checkpoint.npz").exists():
            assert process.poll() is None, (tmp_path / "broken.log").read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        workers = find_children(process.pid)
        process.send_signal(signal.SIGKILL)
        process.wait()
        assert process.returncode == -signal.SIGKILL
    assert workers
    while any(map(is_running, workers)):
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert 1 <= len(read_checkpoint(broken)[0]) < 4
    # What the teacher has become since does not matter.
    (finished.recipe.parent / "teacher" / "best.keras").write_bytes(b"trained further")
    with start_training(finished.recipe, broken, "--resume") as process:
        finish(process, broken)
    assert "goes on with the teacher it began with" in " ".join((tmp_path / "broken.log").read_text().split())

    assert read_rows(broken) == read_rows(whole)
    (rows, variables), (resumed_rows, resumed_variables) = map(read_checkpoint, (whole, broken))
    assert resumed_rows == rows
    assert resumed_variables.keys() == variables.keys()
    assert [key for key in variables if not np.array_equal(resumed_variables[key], variables[key])] == []
    networks = [keras.saving.load_model(run / "best.keras", compile=False) for run in (whole, broken)]
    for one, other in zip(*(network.weights for network in networks), strict=True):
        assert np.array_equal(one, other), one.path


@pytest.mark.slow
@pytest.mark.usefixtures("recipe_fields")  # for the network that it makes known
def test_a_run_folder_holds_everything_and_the_network_learns(finished: Finished, tmp_path: Path) -> None:
    recipe = load_recipe(finished.recipe)
    # It learnt from what it is judged by, which its log tells.
    log = " ".join(finished.folder.with_suffix(".log").read_text().split())
    assert "validation 'streets' and training 'streets' share pictures: 12, the first" in log
    run = tmp_path / "run"
    shutil.copytree(finished.folder, run)
    rows = read_rows(run)
    assert [row["epoch"] for row in rows] == [0, 1, 2, 3]
    assert rows[-1]["loss"] < 0.7 * rows[0]["loss"]
    # best.keras is the best epoch, and what the report measures is what the log said of it.
    for name in PICTURES:
        (run / name).unlink()
    matrices = fit_recipe(recipe, run, resume=True)
    assert read_rows(run) == rows
    assert matrices["streets"].mean_iou_foreground() == pytest.approx(max(row["val_mean"] for row in rows), abs=1e-3)
    assert matrices["streets"].iou()["road"] > 0.5

    card = ModelCard.model_validate_json((run / "card.json").read_text())
    assert card.input_hw == (96, 128)
    assert card.trained_on[0].images == 12
    assert card.licence == "drawn by the test"
    assert card.taught_by == "edgeseg-wide, drawn by the test"
    assert len(card.training_sha256 or "") == 64
    assert yaml.safe_load((run / "recipe.yaml").read_text())["optimizer"]["lr"] == 0.01
    assert json.loads((run / "run.json").read_text())["git_revision"]
    for name in PICTURES:
        picture = cv2.imread(str(run / name))
        assert picture is not None
        assert picture.std() > 10
    assert list((run / "tensorboard").glob("events.*"))

    # The fingerprint can be computed again from what the folder holds.
    assert RunFolder(run).fingerprint() == card.training_sha256

    # Data that moved: the run knows, and so do the commands that read its recipe.
    shutil.copytree(recipe.datasets[0].root, tmp_path / "moved")
    moved = {"datasets": tuple(item.model_copy(update={"root": tmp_path / "moved"}) for item in recipe.datasets)}
    nowhere = {"datasets": tuple(item.model_copy(update={"root": tmp_path / "typo"}) for item in recipe.datasets)}
    with pytest.raises(InputNotFoundError, match="typo"):
        fit_recipe(recipe.model_copy(update=nowhere), run, resume=True)
    assert RunFolder.open(run)[1] == recipe
    fit_recipe(recipe.model_copy(update={**moved, "workers": recipe.workers + 1}), run, resume=True)
    assert RunFolder.open(run)[1].workers == recipe.workers
    assert RunFolder.open(run)[1].datasets[0].root == tmp_path / "moved"
    assert read_trained(run).card.training_sha256 == RunFolder(run).fingerprint() != card.training_sha256

    other = recipe.model_copy(update={"seed": 9})
    with pytest.raises(UsageError, match="other values of seed"):
        fit_recipe(other, run, resume=True)
    with pytest.raises(UsageError, match="already holds a run"):
        fit_recipe(recipe, run)
    (run / "checkpoint.npz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"checkpoint\.npz"):
        fit_recipe(recipe, run, resume=True)
