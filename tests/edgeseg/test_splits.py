from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from edgeseg.errors import DataError
from edgeseg.labels import Pair
from edgeseg.splits import GroupSplit, select_pairs

PAIRS = [
    Pair(f"drive{drive}_{frame}", Path(f"drive{drive}_{frame}.jpg"), Path("x.png"))
    for drive in range(5)
    for frame in "ab"
]


def split(part: str, every: int = 2) -> GroupSplit:
    return GroupSplit.model_validate({"group": "^(drive.)_", "every": every, "part": part})


def test_both_sides_together_are_everything_and_share_no_drive() -> None:
    kept, held_out = (select_pairs(PAIRS, split(part)) for part in ("kept", "held_out"))
    assert [pair.stem[5] for pair in held_out] == ["0", "0", "2", "2", "4", "4"]
    assert sorted(kept + held_out) == PAIRS
    assert select_pairs(PAIRS, None) == PAIRS


def test_a_name_that_tells_no_drive_is_named() -> None:
    with pytest.raises(DataError, match=r"other\.jpg: its name does not match the split's group"):
        select_pairs([*PAIRS, Pair("other", Path("other.jpg"), Path("x.png"))], split("kept"))


def test_a_single_drive_leaves_nothing_to_learn_from() -> None:
    with pytest.raises(DataError, match="the split leaves no pictures as kept"):
        select_pairs(PAIRS[:2], split("kept"))
    assert select_pairs(PAIRS[:2], split("held_out")) == PAIRS[:2]


@pytest.mark.parametrize("group", ["(", "drive", "(a)(b)"])
def test_a_group_must_capture_one_thing(group: str) -> None:
    with pytest.raises(ValidationError, match="`group`"):
        GroupSplit.model_validate({"group": group, "every": 2, "part": "kept"})
