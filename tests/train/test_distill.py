from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from edgeseg.errors import DataError, InputNotFoundError
from tests.train.conftest import write_recipe, write_teacher
from train.augment import OUTSIDE_INDEX
from train.config import load_recipe
from train.datasets import Mixer
from train.distill import distillation_loss, load_teacher, make_distillation
from train.learner import Learner, make_learner
from train.losses import SegmentationLoss
from train.run_folder import RunFolder


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def random_scores(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 3, (2, 6, 8, 4)).astype(np.float32)


def test_the_loss_is_the_plain_formula() -> None:
    wanted, said = random_scores(0), random_scores(1)
    counted = np.random.default_rng(2).integers(0, 2, (2, 6, 8)).astype(np.float32)
    p, q = softmax(wanted / 3), softmax(said / 3)
    divergence = (p * np.log(p / q)).sum(-1)
    expected = 9 * (divergence * counted).sum() / (counted.sum() + 1)
    assert float(distillation_loss(wanted, said, counted, 3.0)) == pytest.approx(expected, rel=1e-4)
    assert float(distillation_loss(wanted, wanted, counted, 3.0)) == pytest.approx(0, abs=1e-6)

    weights = np.array([0.5, 1.0, 2.0, 4.0])
    expected = 9 * (divergence * counted * (softmax(wanted) * weights).sum(-1)).sum() / (counted.sum() + 1)
    assert float(distillation_loss(wanted, said, counted, 3.0, weights.tolist())) == pytest.approx(expected, rel=1e-4)


def linear_network(seed: int) -> keras.Model:
    """Scores of 4x4 blocks: the student can become just what the teacher is."""
    inputs = keras.Input((None, None, 3))
    layer = keras.layers.Conv2D(4, 4, strides=4)
    network = keras.Model(inputs, layer(inputs))
    rng = np.random.default_rng(seed)
    layer.set_weights([rng.normal(0, 0.5, (4, 4, 3, 4)), rng.normal(0, 0.5, 4)])
    return network


def make_student(network: keras.Model, teacher: keras.Model, optimizer: keras.optimizers.Optimizer) -> Learner:
    student = make_learner(
        network, SegmentationLoss([1, 1, 1, 1]), distillation=make_distillation(teacher, 1.0, temperature=2.0)
    )
    student.compile(optimizer=optimizer)
    return student


def test_a_student_becomes_its_teacher_where_nothing_is_labelled() -> None:
    teacher, network = linear_network(0), linear_network(1)
    before = [np.array(weight) for weight in teacher.get_weights()]
    student = make_student(network, teacher, keras.optimizers.Adam(0.03))
    pictures = np.random.default_rng(2).uniform(-1, 1, (4, 16, 24, 3)).astype(np.float32)
    unlabelled = np.full((4, 8, 12), 255, np.uint8)
    losses = [float(student.train_on_batch(pictures, unlabelled)) for _ in range(60)]
    assert losses[-1] < 0.05 * losses[0]
    for old, new in zip(before, teacher.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    # What a checkpoint holds and what is counted as the network is the student alone.
    assert len(student.variables) == len(network.variables)
    assert student.count_params() == network.count_params()


def test_nothing_is_learnt_from_outside_of_the_picture() -> None:
    student = make_student(linear_network(1), linear_network(0), keras.optimizers.SGD(0.0))
    pictures = np.random.default_rng(2).uniform(-1, 1, (2, 16, 24, 3)).astype(np.float32)
    labels = np.full((2, 8, 12), OUTSIDE_INDEX, np.uint8)
    assert float(student.train_on_batch(pictures, labels)) == pytest.approx(0, abs=1e-6)
    labels[:, :, :6] = 255
    assert float(student.train_on_batch(pictures, labels)) > 0.01


def test_batches_tell_the_outside_only_where_a_teacher_asks(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    fields = {**recipe_fields, "augmentation": {"scale": [0.5, 0.5]}}
    plain = load_recipe(write_recipe(tmp_path / "a.yaml", fields))
    taught = load_recipe(write_recipe(tmp_path / "b.yaml", {**fields, "teacher": {"model": "t.keras"}}))
    (pictures, labels), (same, told) = Mixer(plain).batch(0, 0), Mixer(taught).batch(0, 0)
    np.testing.assert_array_equal(pictures, same)
    assert OUTSIDE_INDEX not in labels
    np.testing.assert_array_equal(labels == 255, told == OUTSIDE_INDEX)
    assert (told == OUTSIDE_INDEX).any()
    # ... and the labels' loss is the same for both.
    scores = np.random.default_rng(3).normal(size=(2, 16, 24, 4)).astype(np.float32)
    loss = SegmentationLoss([1, 1, 1, 1])
    assert float(loss(labels, scores)) == pytest.approx(float(loss(told, scores)), rel=1e-6)


def test_a_teacher_is_loaded_for_the_size_of_the_crops(tmp_path: Path) -> None:
    path = write_teacher(tmp_path / "teacher")
    teacher = load_teacher(path, (64, 96), 4)
    assert teacher.output_shape == (None, 16, 24, 4)
    with pytest.raises(DataError, match=r"best\.keras: cannot teach: gives .* not scores of 5 classes"):
        load_teacher(path, (64, 96), 5)
    path.write_bytes(b"damaged")
    with pytest.raises(DataError, match=r"best\.keras: cannot teach"):
        load_teacher(path, (64, 96), 4)


def test_a_teacher_that_is_not_there_is_told_before_the_run_is_one(
    tmp_path: Path, recipe_fields: dict[str, Any]
) -> None:
    model = write_teacher(tmp_path / "teacher")
    recipe = load_recipe(write_recipe(tmp_path / "a.yaml", {**recipe_fields, "teacher": {"model": str(model)}}))
    (tmp_path / "teacher" / "card.json").unlink()
    with pytest.raises(InputNotFoundError, match=r"card\.json: cannot be read: .*card\.json beside it"):
        RunFolder.create(tmp_path / "run", recipe)
    with pytest.raises(InputNotFoundError, match="holds no run"):
        RunFolder.open(tmp_path / "run")
