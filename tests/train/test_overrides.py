from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from edgeseg.errors import ConfigError, UsageError
from tests.train.conftest import write_recipe
from train.config import load_recipe
from train.overrides import override


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("epochs=3", {"epochs": 3}),
        ("optimizer.lr=0.001", {"optimizer": {"lr": 0.001}}),
        ("loss.dice=0.5", {"loss": {"dice": 0.5, "balance": 0.4}}),
        ("augmentation.scale=[0.5, 1.5]", {"augmentation": {"scale": [0.5, 1.5]}}),
        ("pretrained=null", {"pretrained": None}),
        ("teacher.model=a=b.keras", {"teacher": {"model": "a=b.keras"}}),
        ("datasets.city.weight=2", {"datasets": [{"name": "camvid"}, {"name": "city", "weight": 2}]}),
        ("datasets.city.split.every=5", {"datasets": [{"name": "camvid"}, {"name": "city", "split": {"every": 5}}]}),
    ],
)
def test_a_field_is_named_by_its_path(setting: str, expected: dict[str, Any]) -> None:
    fields = {
        "epochs": 2,
        "loss": {"balance": 0.4},
        "pretrained": {"path": "x"},
        "teacher": None,
        "datasets": [{"name": "camvid"}, {"name": "city"}],
    }
    override(fields, [setting])
    assert {name: fields[name] for name in expected} == expected


def test_a_later_setting_wins() -> None:
    fields: dict[str, Any] = {}
    override(fields, ["epochs=1", "epochs=2"])
    assert fields == {"epochs": 2}


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ("epochs", "--set epochs: give KEY=VALUE"),
        ("=3", "--set =3: give KEY=VALUE"),
        ("epochs=[", "--set epochs=[: the value is not valid YAML"),
        ("licence=2024-99-99", "--set licence=2024-99-99: the value is not valid YAML"),
        ("epochs.more=1", "--set epochs.more=1: 'epochs' holds no field 'more' but the value 2"),
        ("epochs.a.b=1", "--set epochs.a.b=1: 'a' is asked of the value 2"),
        ("datasets.citi.weight=1", "--set datasets.citi.weight=1: there is no 'citi' but the items camvid, city"),
        ("datasets.city=1", "--set datasets.city=1: 'datasets' holds no field 'city' but the items camvid, city"),
    ],
)
def test_what_cannot_be_set_is_told_in_one_line(setting: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        override({"epochs": 2, "datasets": [{"name": "camvid"}, {"name": "city"}]}, [setting])
    assert str(caught.value) == said


def test_a_recipe_judges_what_was_set(tmp_path: Path, recipe_fields: dict[str, Any]) -> None:
    path = write_recipe(tmp_path / "recipe.yaml", recipe_fields)
    assert load_recipe(path, settings=["loss.auxiliary=0.4", "datasets.streets.weight=3"]).loss.auxiliary == 0.4
    # YAML 1.1 takes these for words; the recipe knows better.
    for text, rate in (("1e-3", 1e-3), ("1.5e-3", 1.5e-3), ("2E0", 2.0)):
        assert load_recipe(path, settings=[f"optimizer.lr={text}"]).optimizer.lr == rate
    with pytest.raises(ConfigError, match=r"loss\.auxilary: Extra inputs"):
        load_recipe(path, settings=["loss.auxilary=0.4"])
    with pytest.raises(ConfigError, match=r"epochs: Input should be greater than or equal to 1"):
        load_recipe(path, settings=["epochs=0"])
