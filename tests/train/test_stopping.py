"""Runs that end early: because they learn nothing, or because they cannot begin."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from edgeseg.errors import DataError, SinkUnavailableError
from tests.train.conftest import write_recipe
from tests.train.runs import read_rows
from train.config import load_recipe
from train.fit import Trainer, fit_recipe
from train.run_folder import RunFolder


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
