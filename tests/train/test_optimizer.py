"""The rate, the loss and the average of the weights over a run."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.train.conftest import write_recipe
from train.config import load_recipe
from train.fit import Trainer, make_optimizer
from train.run_folder import RunFolder


def test_the_rate_rises_in_a_line_and_falls_as_a_cosine(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    fields = {**recipe_fields, "epochs": 10, "steps_per_epoch": 20}
    fields["optimizer"] = {"lr": 0.01, "warmup_epochs": 2, "final_lr_ratio": 0.1}
    optimizer = make_optimizer(load_recipe(write_recipe(tmp_path / "recipe.yaml", fields)))

    def rate(step: int) -> float:
        optimizer.iterations.assign(step)
        return float(optimizer.learning_rate)

    assert rate(20) == pytest.approx(rate(40) / 2, rel=0.06)
    assert rate(40) == pytest.approx(0.01)
    half = 0.01 * (0.1 + 0.9 * (1 + math.cos(math.pi / 2)) / 2)
    assert rate(120) == pytest.approx(half)
    assert rate(200) == pytest.approx(0.001)


def test_what_is_saved_is_the_average_of_the_weights(
    tmp_path: Path, recipe_fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    fields = {**recipe_fields, "epochs": 1, "steps_per_epoch": 4, "workers": 1}
    fields["optimizer"] = {"lr": 0.02, "warmup_epochs": 0, "ema": 0.6}
    recipe = load_recipe(write_recipe(tmp_path / "recipe.yaml", fields))
    run = RunFolder.create(tmp_path / "run", recipe)
    trainer = Trainer(recipe, run)
    name = "logits/kernel"
    (kernel,) = [weight for weight in trainer.network.weights if weight.path == name]
    steps: list[np.ndarray] = []
    train = trainer.model.train_on_batch

    def train_and_look(*batch: Any) -> Any:
        loss = train(*batch)
        steps.append(keras.ops.convert_to_numpy(kernel).copy())
        return loss

    monkeypatch.setattr(trainer.model, "train_on_batch", train_and_look)
    trainer.fit()
    expected = steps[0]
    for weights in steps[1:]:
        expected = 0.6 * expected + 0.4 * weights
    saved = keras.saving.load_model(run.best_file, compile=False).get_layer("logits").kernel
    np.testing.assert_allclose(keras.ops.convert_to_numpy(saved), expected, atol=1e-6)
    assert np.abs(steps[-1] - expected).max() > 1e-4
    # Training goes on with the weights, not with their average.
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(kernel), steps[-1])


def test_the_loss_of_an_epoch_is_the_mean_of_its_batches_with_any_keras(
    tmp_path: Path, recipe_fields: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The `train_on_batch` of Keras 3.8 does not begin its running mean anew."""
    recipe = load_recipe(write_recipe(tmp_path / "recipe.yaml", {**recipe_fields, "epochs": 1, "steps_per_epoch": 4}))
    trainer = Trainer(recipe, RunFolder.create(tmp_path / "run", recipe))
    (mean,) = trainer.model.metrics
    train = trainer.model.train_on_batch
    losses: list[float] = []

    def train_as_before(*batch: Any) -> Any:
        total, count = float(mean.total), float(mean.count)
        with monkeypatch.context() as patch:
            patch.setattr(trainer.model, "reset_metrics", lambda: None)
            said = train(*batch)
        losses.append((float(mean.total) - total) / (float(mean.count) - count))
        return said

    monkeypatch.setattr(trainer.model, "train_on_batch", train_as_before)
    trainer.fit()
    assert len(set(losses)) == 4
    assert trainer.rows[0]["loss"] == pytest.approx(sum(losses) / 4, rel=1e-5)
