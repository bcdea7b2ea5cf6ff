"""What a network learns by, and that the auxiliary head is there in training alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from tests.train.conftest import write_recipe
from train.architectures import build_network
from train.config import load_recipe
from train.fit import fit_recipe
from train.learner import make_learner
from train.losses import SegmentationLoss

LOSS = SegmentationLoss([1, 1, 1, 1])


def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (2, 64, 96, 3)).astype(np.float32), rng.integers(0, 4, (2, 32, 48)).astype(np.uint8)


def test_the_loss_is_that_of_the_scores_and_the_weighted_one_of_the_head() -> None:
    network = build_network("nano", (64, 96), 4)
    learner = make_learner(network, LOSS, auxiliary=0.25)
    pictures, labels = batch()
    scores, head = learner(pictures, training=False)
    np.testing.assert_allclose(scores, network(pictures, training=False), atol=1e-6)
    assert head.shape == (2, 4, 6, 4)  # stride 16
    expected = float(LOSS(labels, scores)) + 0.25 * float(LOSS(labels, head))
    assert float(learner.compute_loss(pictures, labels, [scores, head])) == pytest.approx(expected, rel=1e-6)


def test_the_head_teaches_the_encoder() -> None:
    """With a loss that is blind to the network's own scores, what moves is the head's and the encoder's below it."""
    network = build_network("nano", (64, 96), 4)
    learner = make_learner(network, lambda labels, said: LOSS(labels, said) * (said.shape[1] == 4), auxiliary=1.0)
    learner.compile(optimizer=keras.optimizers.SGD(0.1))
    before = {layer.name: [np.array(w) for w in layer.get_weights()] for layer in network.layers}
    learner.train_on_batch(*batch())

    def moved(name: str) -> bool:
        return any(
            not np.array_equal(a, b) for a, b in zip(before[name], network.get_layer(name).get_weights(), strict=True)
        )

    assert moved("stem_conv")
    assert moved("block5_project_conv")
    assert not moved("logits")
    assert not moved("decoder4_skip_conv")


def test_a_run_with_a_head_saves_the_network_without_it(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    fields = {**recipe_fields, "loss": {"auxiliary": 0.4}}
    recipe = load_recipe(write_recipe(tmp_path / "recipe.yaml", fields))
    fit_recipe(recipe, tmp_path / "run")
    saved = keras.saving.load_model(tmp_path / "run" / "best.keras", compile=False)
    plain = build_network(recipe.architecture, recipe.input_size, 4)
    assert [layer.name for layer in saved.layers] == [layer.name for layer in plain.layers]
    assert "auxiliary" not in " ".join(layer.name for layer in saved.layers)
    fit_recipe(recipe, tmp_path / "run", resume=True)  # the checkpoint holds the head, too
