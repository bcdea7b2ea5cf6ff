"""Labelled pictures to judge a model by: folders as a recipe or a user names them, and what is found in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from edgeseg.labels import LabelMapping, Pair, find_pairs
from edgeseg.splits import GroupSplit, select_pairs


@dataclass(frozen=True, slots=True)
class LabelledSet:
    """A folder with images/ and labels/, the name or the file of the mapping of its label values, and which part of
    the folder is meant."""

    root: Path
    mapping: str
    split: GroupSplit | None = None

    def open(self) -> ValidationSet:
        """Finds the pairs. Raises DataError or InputNotFoundError that name what is missing."""
        mapping = LabelMapping.load(self.mapping)
        pairs = select_pairs(find_pairs(self.root / "images", self.root / "labels", mapping), self.split)
        part = f", {self.split.part.replace('_', ' ')} drives" if self.split else ""
        return ValidationSet(f"{mapping.name} {self.root.resolve().name}{part}", mapping, tuple(pairs))


@dataclass(frozen=True, slots=True)
class ValidationSet:
    """Labelled pictures to judge a model by, and what to call them."""

    name: str
    mapping: LabelMapping
    pairs: tuple[Pair, ...]


def open_all(sets: Sequence[LabelledSet]) -> list[ValidationSet]:
    """Opens them; those that would be called alike are numbered."""
    opened = [labelled.open() for labelled in sets]
    names = [item.name for item in opened]
    return [
        replace(item, name=f"{item.name} {1 + names[:place].count(item.name)}") if names.count(item.name) > 1 else item
        for place, item in enumerate(opened)
    ]
