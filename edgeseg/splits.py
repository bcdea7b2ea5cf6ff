"""Which pictures of a folder are for learning and which for judging: whole drives, never parts of one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgeseg.errors import DataError
from edgeseg.fields import Part
from edgeseg.labels import Pair


class GroupSplit(Part):
    """Holds out whole groups of pictures: neighbouring frames of one drive never land on both sides.

    `group` is a regular expression over the stem whose first group names the drive; of the sorted drives every
    `every`-th is held out. `part` says which side is meant.
    """

    group: str
    every: Annotated[int, Field(ge=2)]
    part: Literal["kept", "held_out"]

    @model_validator(mode="after")
    def _check(self) -> GroupSplit:
        try:
            groups = re.compile(self.group).groups
        except re.error as error:
            raise ValueError(f"`group` is no regular expression: {error}") from error
        if groups != 1:
            raise ValueError("`group` must hold exactly one (...) that captures the drive")
        return self


def select_pairs(pairs: Sequence[Pair], split: GroupSplit | None) -> list[Pair]:
    """The pairs on one side of a split by drives; all of them without a split.

    Raises DataError for a picture whose name does not tell its drive, and when all drives are on the other side.
    """
    if split is None:
        return list(pairs)
    groups: dict[str, list[Pair]] = {}
    for pair in pairs:
        match = re.match(split.group, pair.stem)
        if not match:
            raise DataError(f"{pair.image}: its name does not match the split's group '{split.group}'")
        groups.setdefault(match[1], []).append(pair)
    chosen = [
        name for index, name in enumerate(sorted(groups)) if (index % split.every == 0) == (split.part == "held_out")
    ]
    if groups and not chosen:
        where = pairs[0].image.parent.parent
        raise DataError(f"{where}: the split leaves no pictures as {split.part}; change its `every` or `group`")
    return [pair for name in chosen for pair in groups[name]]
