"""A recipe's fields from the command line: `--set optimizer.lr=1e-3 --set datasets.camvid.weight=0.5`."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import yaml

from edgeseg.errors import UsageError


def override(fields: dict[str, Any], settings: Iterable[str]) -> None:
    """Puts each KEY=VALUE into the fields that a recipe's YAML holds.

    KEY names a field, and what is inside of it after a dot; an item of a list goes by its `name`. What is not there yet
    is made; whether a recipe has such a field is for the recipe to say. VALUE is YAML. Raises UsageError.
    """
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not key or not equals:
            raise UsageError(f"--set {setting}: give KEY=VALUE")
        try:
            value = yaml.safe_load(text)
        except (yaml.YAMLError, ValueError) as error:  # a date that there is not is a ValueError
            raise UsageError(f"--set {setting}: the value is not valid YAML") from error
        *path, last = key.split(".")
        place: Any = fields
        for part in path:
            place = _enter(place, part, setting)
        if not isinstance(place, dict):
            raise UsageError(f"--set {setting}: '{path[-1]}' holds no field '{last}' but {_kind(place)}")
        place[last] = value


def _enter(place: Any, part: str, setting: str) -> Any:
    if isinstance(place, list):
        items = {item["name"]: item for item in place if isinstance(item, dict) and "name" in item}
        if part not in items:
            raise UsageError(f"--set {setting}: there is no '{part}' but {_kind(place)}")
        return items[part]
    if not isinstance(place, dict):
        raise UsageError(f"--set {setting}: '{part}' is asked of {_kind(place)}")
    if place.get(part) is None:
        place[part] = {}
    return place[part]


def _kind(place: Any) -> str:
    if not isinstance(place, list):
        return f"the value {place}"
    return "the items " + ", ".join(str(item["name"]) for item in place if isinstance(item, dict) and "name" in item)
