from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
import yaml

from convert.handover import LabelledSet, open_all, read_hand_over
from edgeseg.errors import ConfigError, DataError, InputNotFoundError, ModelError
from edgeseg.hand_over import fingerprint
from edgeseg.model_card import CardClass, ModelCard
from edgeseg.splits import GroupSplit
from tests.scenes import write_streets

SPLIT = {"group": "^(drive.)_", "every": 3, "part": "held_out"}
CARD = ModelCard(name="edgeseg-test", input_hw=(64, 96))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    (tmp_path / "best.keras").write_bytes(b"weights")
    (tmp_path / "card.json").write_text(CARD.model_dump_json())
    return tmp_path


def test_run_folder_and_its_keras_file_are_the_same(run: Path) -> None:
    assert read_hand_over(run) == read_hand_over(run / "best.keras")
    assert read_hand_over(run).network == run / "best.keras"


def test_sum_of_the_training_is_made_only_where_training_gave_none(run: Path) -> None:
    assert read_hand_over(run).card.training_sha256 == hashlib.sha256(b"weights").hexdigest()
    (run / "card.json").write_text(CARD.model_copy(update={"training_sha256": "a" * 64}).model_dump_json())
    assert read_hand_over(run).card.training_sha256 == "a" * 64


def test_a_card_of_another_network_of_the_run_is_refused(run: Path) -> None:
    """As a kill between the two files leaves it."""
    for name in ("recipe.yaml", "run.json"):
        (run / name).write_text("datasets: []\nvalidation: []\n")
    card = CARD.model_copy(update={"training_sha256": fingerprint(run)})
    (run / "card.json").write_text(card.model_dump_json())
    assert read_hand_over(run).card == card
    (run / "best.keras").write_bytes(b"of a later epoch")
    with pytest.raises(DataError, match=r"card\.json: is not of this best\.keras; end the run with --resume"):
        read_hand_over(run)


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
    hand_over = read_hand_over(run)
    assert hand_over.trained_on == (LabelledSet(Path("/data/a"), "camvid"), LabelledSet(run / "b", "/data/b.yaml"))
    assert hand_over.validation == (
        LabelledSet(Path("/data/b"), "camvid", GroupSplit.model_validate(SPLIT)),
        LabelledSet(Path("/data/val"), "idd_lite"),
    )


def test_a_part_of_a_folder_is_opened_as_training_divided_it(tmp_path: Path) -> None:
    write_streets(tmp_path / "streets", 6, (24, 32))
    found = LabelledSet(tmp_path / "streets", "edgeseg", GroupSplit.model_validate(SPLIT)).open()
    assert found.name == "edgeseg streets, held out drives"
    assert [pair.stem for pair in found.pairs] == ["drive0_000", "drive0_003"]
    whole = LabelledSet(tmp_path / "streets", "edgeseg").open()
    assert (whole.name, len(whole.pairs)) == ("edgeseg streets", 6)


def test_sets_that_would_be_called_alike_are_numbered(tmp_path: Path) -> None:
    sets = [LabelledSet(write_streets(tmp_path / name / "val", 1, (24, 32)), "edgeseg") for name in ("a", "b")]
    other = LabelledSet(write_streets(tmp_path / "c", 1, (24, 32)), "edgeseg")
    assert [item.name for item in open_all([*sets, other])] == ["edgeseg val 1", "edgeseg val 2", "edgeseg c"]


def test_without_a_recipe_no_data_is_named(run: Path) -> None:
    assert read_hand_over(run).trained_on == ()
    assert read_hand_over(run).validation == ()


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
        read_hand_over(run)


def test_missing_parts_are_named(run: Path) -> None:
    with pytest.raises(InputNotFoundError, match="nowhere: no such run folder"):
        read_hand_over(run / "nowhere")
    (run / "card.json").unlink()
    with pytest.raises(InputNotFoundError, match=r"card\.json: no such card"):
        read_hand_over(run)
    (run / "best.keras").unlink()
    with pytest.raises(InputNotFoundError, match=r"holds no best\.keras"):
        read_hand_over(run)


def test_foreign_cards_are_refused(run: Path) -> None:
    (run / "card.json").write_text("{}")
    with pytest.raises(ModelError, match=r"card\.json: the model card is wrong at name"):
        read_hand_over(run)
    (run / "card.json").write_text(CARD.model_copy(update={"quantization": "int8"}).model_dump_json())
    with pytest.raises(DataError, match="describes a int8 model"):
        read_hand_over(run)
    swapped = (CardClass(name="road", color="#000000"), CardClass(name="other", color="#ffffff"))
    (run / "card.json").write_text(CARD.model_copy(update={"classes": swapped}).model_dump_json())
    with pytest.raises(DataError, match="names the classes road, other; must be other, road, vehicle, person"):
        read_hand_over(run)
