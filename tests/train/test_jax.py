"""The other backend of Keras, that of a GPU, on the processor."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.train.conftest import write_recipe, write_teacher
from tests.train.runs import finish, read_rows, start_training


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
