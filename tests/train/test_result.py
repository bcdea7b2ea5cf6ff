"""What a run says of its network."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgeseg.classes import CLASS_NAMES
from edgeseg.errors import DataError
from edgeseg.iou import ConfusionMatrix
from tests.train.conftest import write_recipe
from train.architectures import ARCHITECTURES, build_network
from train.config import load_recipe
from train.datasets import Dataset, Mixer
from train.result import describe_network, describe_row, make_row, recipe_architecture, save_network
from train.run_folder import RunFolder


def _matrix(*pairs: tuple[int, int]) -> ConfusionMatrix:
    """Of pixels given as (truth, prediction)."""
    matrix = ConfusionMatrix(CLASS_NAMES)
    truth, said = np.array(pairs, np.uint8).T
    matrix.update(said, truth)
    return matrix


def test_a_row_holds_each_set_and_the_mean_of_their_foregrounds() -> None:
    row = make_row({"a": _matrix((0, 0), (1, 1), (2, 2), (2, 1)), "b": _matrix((3, 3), (0, 0))})
    assert row["a_road"] == 0.5
    assert row["a_vehicle"] == 0.5
    assert math.isnan(row["a_person"])
    assert row["b_person"] == 1.0
    assert row["val_mean"] == pytest.approx((0.5 + 1.0) / 2)
    # Of an epoch, and of a network that has none.
    assert describe_row({"loss": 0.25, **row}).startswith("loss 0.2500  val 0.7500  a_road 0.500")
    assert describe_row(row).startswith("val 0.7500")


def test_a_set_with_nothing_to_judge_by_is_an_error() -> None:
    with pytest.raises(DataError, match="holds no road, vehicle or person pixel"):
        make_row({"a": _matrix((1, 1)), "sky": _matrix((0, 0))})


def test_a_recipe_may_have_another_dropout_than_its_architecture(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    own = recipe_architecture(load_recipe(write_recipe(tmp_path / "own.yaml", recipe_fields)))
    assert own.dropout == ARCHITECTURES["tiny"].dropout
    for share in (0.0, 0.3):
        changed = load_recipe(write_recipe(tmp_path / "other.yaml", {**recipe_fields, "dropout": share}))
        assert recipe_architecture(changed).dropout == share


def test_the_card_says_how_the_network_was_scaled(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    recipe = load_recipe(write_recipe(tmp_path / "wide.yaml", {**recipe_fields, "width": 1.5, "depth": 2.0}))
    run = RunFolder.create(tmp_path / "run", recipe)
    network = build_network(recipe_architecture(recipe), recipe.input_size, len(CLASS_NAMES))
    save_network(run, recipe, network.get_weights())
    validation = [Dataset.open(entry) for entry in recipe.validation]
    row = make_row({item.entry.name: _matrix((0, 0), (1, 1), (2, 2), (3, 3)) for item in validation})
    card = describe_network(run, recipe, row, network.count_params(), Mixer(recipe), validation)
    assert (card.architecture, card.width, card.depth) == ("tiny", 1.5, 2.0)
    assert card.design == "tiny width 1.5 depth 2"
