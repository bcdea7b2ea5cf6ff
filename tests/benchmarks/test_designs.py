"""Designs of a network: how they are written, and that what is timed is what was asked for."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from benchmarks.designs import build, main, read_design
from edgeseg.errors import UsageError
from edgeseg.runtimes import open_interpreter
from train.architectures import ARCHITECTURES


def test_a_design_changes_what_it_names_and_nothing_else() -> None:
    assert read_design("nano") == ARCHITECTURES["nano"]
    found = read_design("nano_lean:decoder=64,48,64,96:decoder_blocks=2")
    assert (found.decoder, found.decoder_blocks) == ((64, 48, 64, 96), 2)
    assert found.stages == ARCHITECTURES["nano_lean"].stages
    # What is scaled first may then be given outright.
    assert read_design("nano:context=8:width=0.5").context == 8
    assert read_design("nano:width=0.5").stem == 8


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mega", "mega: 'mega' is not one of nano,"),
        ("nano:colour=3", "'colour' is not one of width,"),
        ("nano:decoder=1,2", "decoder: takes four channel counts"),
        ("nano:stem=much", "stem: invalid literal"),
    ],
)
def test_a_design_that_there_is_not_is_told(text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        read_design(text)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nano:width=nan"], "nano:width=nan: cannot convert float NaN to integer"),
        (["nano", "--rounds", "3"], "a benchmark needs at least 10 rounds, got 3"),
        (["nano", "--size", "large"], "--size large: is not a size"),
    ],
)
def test_a_mistake_gets_one_line_and_its_code(
    arguments: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["designs", *arguments])
    assert main() == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"designs: error: {said}")


@pytest.mark.slow
def test_what_is_built_is_int8_and_as_large_as_asked() -> None:
    flatbuffer, params = build("nano_lean:width=0.25:depth=0.3", (64, 96))
    interpreter, _ = open_interpreter(flatbuffer, "design", "auto", 1)
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (list(taken["shape"]), list(given["shape"])) == ([1, 64, 96, 3], [1, 16, 24, 4])
    assert taken["dtype"] is given["dtype"] is np.int8
    assert params < 60_000
    with pytest.raises(UsageError, match="must divide by"):
        build("nano", (60, 96))
