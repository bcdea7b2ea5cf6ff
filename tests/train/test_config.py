from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from edgeseg.errors import ConfigError, InputNotFoundError
from edgeseg.model_card import read_card
from edgeseg.segmenter import BUNDLED_MODEL
from tests.train.conftest import write_recipe
from train.config import SHIPPED_RECIPES, load_recipe
from train.run_folder import RunFolder


def test_sizes_are_read_width_first_and_kept_height_first(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    recipe = load_recipe(write_recipe(tmp_path / "a.yaml", recipe_fields))
    assert recipe.input_size == (96, 128)
    assert recipe.train_hw == (64, 96)


def test_data_paths_start_at_the_recipe_or_where_told(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    recipe_fields["datasets"] = [{"name": "a", "root": "here", "mapping": "camvid"}]
    path = write_recipe(tmp_path / "a.yaml", recipe_fields)
    assert load_recipe(path).datasets[0].root == tmp_path / "here"
    assert load_recipe(path, Path("/elsewhere")).datasets[0].root == Path("/elsewhere/here")


def test_a_mapping_file_is_found_beside_the_recipe(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    recipe_fields["datasets"][0] = {**recipe_fields["datasets"][0], "mapping": "own.yaml"}
    assert load_recipe(write_recipe(tmp_path / "a.yaml", recipe_fields)).datasets[0].mapping == str(
        tmp_path / "own.yaml"
    )


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"epochs": 0}, "epochs"),
        ({"colour": 1}, "colour"),
        ({"input_size": "480"}, "input_size"),
        ({"input_size": "640x360"}, "input_size.0: .*multiple of 32"),
        ({"augmentation": {"focus": {"persn": 0.5}}}, "augmentation.focus.persn"),
        (
            {
                "validation": [
                    {"name": "a", "root": ".", "mapping": "x", "split": {"group": "(", "every": 2, "part": "kept"}}
                ]
            },
            "no regular expression",
        ),
        (
            {"validation": [{"name": "a", "root": ".", "mapping": "x", "weight": 0.5}]},
            "validation.0: .*`weight` is for training",
        ),
        (
            {"validation": [{"name": "a", "root": ".", "mapping": "x", "stretch": 2.0}]},
            "validation.0: .*`stretch` is for training",
        ),
        ({"datasets": []}, "datasets"),
        ({"augmentation": {"corrupt_whole": True}}, "augmentation: .*does nothing without a `corruption_p`"),
        ({"augmentation": {"corruption_strength": [2, 1]}}, "augmentation: .*weakest and the strongest"),
        ({"augmentation": {"scale": [1.4, 0.85]}}, "augmentation: .*smallest and the largest"),
        ({"width": 9}, "width: .*less than or equal to 8"),
        ({"depth": math.inf}, "depth: .*finite number"),
        ({"datasets": [{"name": "a", "root": ".", "mapping": "x", "weight": math.inf}]}, "datasets.0.weight: .*finite"),
        ({"optimizer": {"lr": math.inf}}, "optimizer.lr: .*finite"),
        ({"teacher": {"model": "small.tflite"}}, r"teacher: .*small\.tflite is no \.keras file"),
        ({"augmentation": {"flip_p": 1.5}}, "augmentation.flip_p"),
        (
            {"datasets": [{"name": "a", "root": ".", "mapping": "camvid", "split": {"group": "x", "every": 5}}]},
            "datasets.0.split",
        ),
    ],
)
def test_a_wrong_key_is_named(
    tmp_path: Path, recipe_fields: dict[str, Any], change: dict[str, Any], named: str
) -> None:
    path = write_recipe(tmp_path / "wrong.yaml", {**recipe_fields, **change})
    with pytest.raises(ConfigError, match=rf"wrong\.yaml: .*{named}"):
        load_recipe(path)


def test_a_run_folder_names_every_field_of_a_validation_set(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    """`weight` and `stretch` too, which training alone may set: with their defaults they pass."""
    run = RunFolder.create(tmp_path / "run", load_recipe(write_recipe(tmp_path / "a.yaml", recipe_fields)))
    (written,) = yaml.safe_load(run.recipe_file.read_text("utf-8"))["validation"]
    assert (written["weight"], written["stretch"]) == (1.0, None)
    assert load_recipe(run.recipe_file) == RunFolder.open(run.path)[1]


def test_what_is_set_of_a_training_set_leaves_its_alias_under_validation(
    tmp_path: Path, recipe_fields: dict[str, Any]
) -> None:
    path = write_recipe(tmp_path / "a.yaml", recipe_fields)
    assert "validation:\n- *" in path.read_text("utf-8")
    recipe = load_recipe(path, settings=["datasets.streets.weight=3"])
    assert [entry.weight for entry in (*recipe.datasets, *recipe.validation)] == [3.0, 1.0]


def test_broken_yaml_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text("name: a\nepochs: [1\n", "utf-8")
    with pytest.raises(ConfigError, match=r"broken\.yaml, line \d"):
        load_recipe(path)


def test_an_unknown_recipe_lists_the_shipped_ones() -> None:
    with pytest.raises(InputNotFoundError, match="nano"):
        load_recipe("no-such-recipe")


@pytest.mark.parametrize("path", sorted(SHIPPED_RECIPES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_recipes_are_valid(path: Path) -> None:
    recipe = load_recipe(path.stem)
    assert recipe.name == path.stem


def test_recipes_differ_by_what_they_say_not_by_where_their_files_lie(
    tmp_path: Path, recipe_fields: dict[str, Any]
) -> None:
    recipe_fields["datasets"] = [{"name": "a", "root": "here", "mapping": "camvid"}]
    recipe_fields["pretrained"] = {"path": "w.npz", "source": "somewhere", "licence": "some"}
    recipe_fields["teacher"] = {"model": "runs/best.keras"}
    path = write_recipe(tmp_path / "a.yaml", recipe_fields)
    recipe = load_recipe(path)
    assert recipe.teacher is not None
    assert recipe.teacher.model == tmp_path / "runs/best.keras"
    assert recipe.differences(load_recipe(path, Path("/elsewhere"))) == []
    assert recipe.differences(recipe.model_copy(update={"seed": 5, "epochs": 7})) == ["seed", "epochs"]


def test_a_date_that_there_is_not_is_told_in_one_line(tmp_path: Path) -> None:
    """PyYAML says it by a plain ValueError."""
    path = tmp_path / "recipe.yaml"
    path.write_text("name: tiny\nlicence: 2024-99-99\n")
    with pytest.raises(ConfigError, match=r"recipe\.yaml: not valid YAML"):
        load_recipe(path)


def test_each_stage_starts_from_a_shipped_one() -> None:
    for path in SHIPPED_RECIPES.glob("*.yaml"):
        start = load_recipe(path).pretrained
        if start is not None and start.path.suffix == ".keras":
            earlier = start.path.parent.name
            assert (SHIPPED_RECIPES / f"{earlier}.yaml").is_file(), path
            assert start.source.startswith(earlier), path


@pytest.mark.parametrize("model", sorted(BUNDLED_MODEL.parent.glob("*.tflite")), ids=lambda path: path.stem)
def test_each_model_of_the_checkout_is_what_its_recipe_makes(model: Path) -> None:
    card = read_card(model)
    recipe = load_recipe(card.name.removeprefix("edgeseg-"))
    assert (card.architecture, card.width, card.depth) == (recipe.architecture, recipe.width, recipe.depth)
    assert recipe.pretrained is not None
    assert card.started_from == f"{recipe.pretrained.source}, {recipe.pretrained.licence}"
    assert card.licence == recipe.licence
    assert {item.name for item in card.trained_on} == {entry.name for entry in recipe.datasets}
