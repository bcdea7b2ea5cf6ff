from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import keras
import numpy as np
import pytest
import yaml
from numpy.typing import NDArray

from edgeseg.errors import DataError, SinkUnavailableError, UsageError
from edgeseg.model_card import ModelCard
from tests.train.conftest import recipe_of, write_recipe, write_teacher
from train.config import load_recipe
from train.fit import Trainer, fit_recipe
from train.run_folder import RunFolder

ROOT = Path(__file__).resolve().parents[2]
PICTURES = ("curves.png", "confusion.png", "predictions.png")


@contextmanager
def start_training(
    recipe: Path, out: Path, *more: str, backend: str = "tensorflow"
) -> Iterator[subprocess.Popen[bytes]]:
    """A real training process; its output goes into OUT.log, and it does not outlive the block."""
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    if backend == "jax":
        # Of so small a network XLA takes longer to make fast code than to run slow code.
        env["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    command = [sys.executable, "-m", "tests.train.tiny_training", "fit", str(recipe), "--out", str(out), *more]
    with (
        out.with_suffix(".log").open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen[bytes], out: Path) -> None:
    assert process.wait(timeout=240) == 0, out.with_suffix(".log").read_text()


def find_children(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_running(pid: int) -> bool:
    """False too for a process that has ended and that nobody has asked about yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def read_rows(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open(newline="") as stream:
        return [{key: float(value) for key, value in row.items() if key != "seconds"} for row in csv.DictReader(stream)]


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

    other = recipe.model_copy(update={"seed": 9})
    with pytest.raises(UsageError, match="other values of seed"):
        fit_recipe(other, run, resume=True)
    with pytest.raises(UsageError, match="already holds a run"):
        fit_recipe(recipe, run)
    (run / "checkpoint.npz").write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"checkpoint\.npz"):
        fit_recipe(recipe, run, resume=True)


@pytest.mark.slow
def test_early_stopping_ends_a_run_that_learns_nothing(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    fields = {**recipe_fields, "epochs": 9, "steps_per_epoch": 1, "early_stop_epochs": 2}
    # So small a rate changes no weight, and the averaged weights get their statistics from the same pictures every
    # time: all epochs are alike, and none is better than the first.
    fields["optimizer"] = {"lr": 1e-30, "weight_decay": 0.0, "warmup_epochs": 0, "ema": 0.5}
    recipe, run = load_recipe(write_recipe(tmp_path / "recipe.yaml", fields)), tmp_path / "run"
    trainer = Trainer(recipe, RunFolder.create(run, recipe))
    trainer.fit()
    assert len(read_rows(run)) == 3
    rows, best = (run / "metrics.csv").read_bytes(), (run / "best.keras").read_bytes()

    # Killed before its report was drawn, the run is over all the same.
    fit_recipe(recipe, run, resume=True)
    assert (run / "curves.png").is_file()
    assert (run / "metrics.csv").read_bytes() == rows

    # One more epoch, which is no better: a resumed run knows how good its best one was.
    trainer.recipe = recipe.model_copy(update={"early_stop_epochs": 3})
    trainer.resume()
    trainer.fit()
    assert len(read_rows(run)) == 4
    assert (run / "best.keras").read_bytes() == best


@pytest.mark.slow
def test_a_validation_set_that_can_judge_nothing_is_refused(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    empty = tmp_path / "empty"
    for name in ("images", "labels"):
        (empty / name).mkdir(parents=True)
    cv2.imwrite(str(empty / "images" / "a.png"), np.zeros((96, 128, 3), np.uint8))
    cv2.imwrite(str(empty / "labels" / "a.png"), np.full((96, 128), 255, np.uint8))
    # Nothing is counted, so no class, not even a wrongly predicted one, has an IoU.
    recipe_fields["validation"] = [{"name": "empty", "root": str(empty), "mapping": "edgeseg"}]
    fields = {**recipe_fields, "steps_per_epoch": 1, "optimizer": {"ema": 0}}
    with pytest.raises(DataError, match="no road, vehicle or person"):
        fit_recipe(load_recipe(write_recipe(tmp_path / "recipe.yaml", fields)), tmp_path / "run")


def test_an_out_folder_that_cannot_be_made_is_named(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SinkUnavailableError, match="file/run: cannot hold a run"):
        fit_recipe(load_recipe(write_recipe(tmp_path / "recipe.yaml", recipe_fields)), tmp_path / "file" / "run")


@pytest.mark.slow
def test_the_same_recipe_trains_on_jax(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    teacher = {"model": str(write_teacher(tmp_path / "teacher"))}
    fields = {**recipe_fields, "epochs": 2, "steps_per_epoch": 2, "teacher": teacher}
    recipe = write_recipe(tmp_path / "recipe.yaml", fields)
    with start_training(recipe, tmp_path / "run", backend="jax") as process:
        finish(process, tmp_path / "run")
    assert len(read_rows(tmp_path / "run")) == 2
    # What JAX trained, TensorFlow loads: the hand-over to conversion.
    network = keras.saving.load_model(tmp_path / "run" / "best.keras", compile=False)
    assert network.predict_on_batch(np.zeros((1, 96, 128, 3), np.float32)).shape == (1, 24, 32, 4)
