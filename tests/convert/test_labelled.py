from __future__ import annotations

from pathlib import Path

from convert.labelled import LabelledSet, open_all
from edgeseg.splits import GroupSplit
from tests.scenes import write_streets

SPLIT = GroupSplit.model_validate({"group": "^(drive.)_", "every": 3, "part": "held_out"})


def test_a_part_of_a_folder_is_opened_as_training_divided_it(tmp_path: Path) -> None:
    write_streets(tmp_path / "streets", 6, (24, 32))
    found = LabelledSet(tmp_path / "streets", "edgeseg", SPLIT).open()
    assert found.name == "edgeseg streets, held out drives"
    assert [pair.stem for pair in found.pairs] == ["drive0_000", "drive0_003"]
    whole = LabelledSet(tmp_path / "streets", "edgeseg").open()
    assert (whole.name, len(whole.pairs)) == ("edgeseg streets", 6)


def test_sets_that_would_be_called_alike_are_numbered(tmp_path: Path) -> None:
    sets = [LabelledSet(write_streets(tmp_path / name / "val", 1, (24, 32)), "edgeseg") for name in ("a", "b")]
    other = LabelledSet(write_streets(tmp_path / "c", 1, (24, 32)), "edgeseg")
    assert [item.name for item in open_all([*sets, other])] == ["edgeseg val 1", "edgeseg val 2", "edgeseg c"]
