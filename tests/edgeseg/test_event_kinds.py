"""Kinds of events that are named in a configuration are those that there are."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import edgeseg
from edgeseg.event_kinds import KINDS, check_kind
from edgeseg.telemetry.home_assistant import DEVICE_EVENT_TYPES, EVENT_TYPES

SOURCE = {
    path: path.read_text(encoding="utf-8")
    for path in Path(edgeseg.__file__).parent.rglob("*.py")
    if path.name not in ("event_kinds.py", "home_assistant.py")
}


def test_every_kind_that_is_told_can_be_named_and_no_other() -> None:
    told = {kind for text in SOURCE.values() for kind in re.findall(r'vents\.add\(\s*"([a-z_]+)"', text)}
    assert len(told) > 15
    assert told <= set(KINDS)
    words = {word for text in SOURCE.values() for word in re.findall(r'"([a-z_]+)"', text)}
    assert {kind for kind in KINDS if not kind.startswith("picture_")} <= words


def test_home_assistant_is_told_of_kinds_that_there_are() -> None:
    kinds = {re.sub(r"^(person_in_path)_(begin|end)$", r"\1", kind) for kind in (*EVENT_TYPES, *DEVICE_EVENT_TYPES)}
    assert kinds <= set(KINDS)


@pytest.mark.parametrize(
    ("wrong", "hint"), [("person_in_paht", "did you mean 'person_in_path'"), ("x", "there is camera_back, camera_lost")]
)
def test_another_one_is_told_with_what_there_is(wrong: str, hint: str) -> None:
    assert check_kind("person_in_path") == "person_in_path"
    with pytest.raises(ValueError, match=hint):
        check_kind(wrong)
