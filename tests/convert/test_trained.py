from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from convert.labelled import LabelledSet
from convert.trained import read_trained
from edgeseg.errors import ConfigError, DataError, InputNotFoundError, ModelError
from edgeseg.hand_over import fingerprint
from edgeseg.model_card import CardClass, ModelCard
from edgeseg.splits import GroupSplit

SPLIT = {"group": "^(drive.)_", "every": 3, "part": "held_out"}
CARD = ModelCard(name="edgeseg-test", input_hw=(64, 96))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "best.keras").write_bytes(b"weights")
    (tmp_path / "card.json").write_text(CARD.model_dump_json())
    return tmp_path


def test_run_folder_and_its_keras_file_are_the_same(run: Path) -> None:
    assert read_trained(run) == read_trained(run / "best.keras")
    assert read_trained(run).network == run / "best.keras"


def test_sum_of_the_training_is_made_only_where_training_gave_none(run: Path) -> None:
    assert read_trained(run).card.training_sha256 == hashlib.sha256(b"weights").hexdigest()
    (run / "card.json").write_text(CARD.model_copy(update={"training_sha256": "a" * 64}).model_dump_json())
    assert read_trained(run).card.training_sha256 == "a" * 64


def test_a_card_of_another_network_of_the_run_is_refused(run: Path) -> None:
    """As a kill between the two files leaves it."""
    for name in ("recipe.yaml", "run.json"):
        (run / name).write_text("datasets: []\nvalidation: []\n")
    card = CARD.model_copy(update={"training_sha256": fingerprint(run)})
    (run / "card.json").write_text(card.model_dump_json())
    assert read_trained(run).card == card
    (run / "best.keras").write_bytes(b"of a later epoch")
    with pytest.raises(DataError, match=r"card\.json: is not of this best\.keras; end the run with --resume"):
        read_trained(run)


def test_recipe_names_the_data(run: Path) -> None:
    recipe = {
        "name": "nano",
        "datasets": [
            {"name": "a", "root": "/data/a", "mapping": "camvid"},
            {"name": "b", "root": "b", "mapping": "/data/b.yaml"},
        ],
        "validation": [
            {"name": "part", "root": "/data/b", "mapping": "camvid", "split": SPLIT},
            {"name": "whole", "root": "/data/val", "mapping": "idd_lite"},
        ],
    }
    (run / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    found = read_trained(run)
    assert found.trained_on == (LabelledSet(Path("/data/a"), "camvid"), LabelledSet(run / "b", "/data/b.yaml"))
    assert found.validation == (
        LabelledSet(Path("/data/b"), "camvid", GroupSplit.model_validate(SPLIT)),
        LabelledSet(Path("/data/val"), "idd_lite"),
    )


def test_without_a_recipe_no_data_is_named(run: Path) -> None:
    assert read_trained(run).trained_on == ()
    assert read_trained(run).validation == ()


@pytest.mark.parametrize(
    "text",
    [
        "datasets: [",
        "datasets: []\nvalidation: [{root: a, mapping: b, split: {every: 2}}]",
        "just text",
        "datasets: [{name: a}]",
        "datasets: []",
        "\x00",
    ],
)
def test_foreign_recipe_is_refused(run: Path, text: str) -> None:
    (run / "recipe.yaml").write_text(text)
    with pytest.raises(ConfigError, match=r"recipe\.yaml: not the recipe of a training run"):
        read_trained(run)


def test_missing_parts_are_named(run: Path) -> None:
    with pytest.raises(InputNotFoundError, match="nowhere: no such run folder"):
        read_trained(run / "nowhere")
    (run / "card.json").unlink()
    with pytest.raises(InputNotFoundError, match=r"card\.json: no such card"):
        read_trained(run)
    (run / "best.keras").unlink()
    with pytest.raises(InputNotFoundError, match=r"holds no best\.keras"):
        read_trained(run)


def test_foreign_cards_are_refused(run: Path) -> None:
    (run / "card.json").write_text("{}")
    with pytest.raises(ModelError, match=r"card\.json: the model card is wrong at name"):
        read_trained(run)
    (run / "card.json").write_text(CARD.model_copy(update={"quantization": "int8"}).model_dump_json())
    with pytest.raises(DataError, match="describes a int8 model"):
        read_trained(run)
    swapped = (CardClass(name="road", color="#000000"), CardClass(name="other", color="#ffffff"))
    (run / "card.json").write_text(CARD.model_copy(update={"classes": swapped}).model_dump_json())
    with pytest.raises(DataError, match="names the classes road, other; must be other, road, vehicle, person"):
        read_trained(run)
