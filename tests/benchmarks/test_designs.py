"""Designs of a network: how they are written, and that what is timed is what was asked for."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest

from benchmarks.designs import build, build_design, main, read_design, split_time
from benchmarks.published import PUBLISHED
from edgeseg.errors import UsageError
from edgeseg.runtimes import open_interpreter
from edgeseg.segmenter import SMALL_BUNDLED_MODEL
from train.architectures import ARCHITECTURES


def test_a_design_changes_what_it_names_and_nothing_else() -> None:
    assert read_design("nano") == ARCHITECTURES["nano"]
    found = read_design("nano_lean:decoder=64,48,64,96:decoder_blocks=2")
    assert (found.decoder, found.decoder_blocks) == ((64, 48, 64, 96), 2)
    assert found.stages == ARCHITECTURES["nano_lean"].stages
    # What is scaled first may then be given outright.
    assert read_design("nano:context=8:width=0.5").context == 8
    assert read_design("nano:width=0.5").stem == 8
    assert read_design("nano_lean:fused=96,32").fused == (96, 32)
    assert read_design("nano_fused:fused=").fused == ()
    assert read_design("nano_fused:depth=0.5").fused == (48,)
    found = read_design("nano:stem_stride=4:encoder_stride=16")
    assert (found.stem_stride, found.encoder_stride) == (4, 16)


def test_a_published_network_goes_by_its_name() -> None:
    assert {read_design(name) for name in PUBLISHED} == set(PUBLISHED)
    network = build_design("mnv4_conv_s", (64, 96))
    assert (network.name, network.output_shape) == ("mnv4_conv_s", (1, 8, 12, 4))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("mega", "mega: 'mega' is not one of nano,.* fast_scnn,"),
        ("stdc1:width=2", "stdc1:width=2: stdc1 is timed as it was published; leave 'width=2' out"),
        ("nano:stem_stride=3", "nano:stem_stride=3: stem_stride is 2 or 4, not 3"),
        ("nano:colour=3", "'colour' is not one of width,"),
        ("nano:decoder=1,2", "decoder: takes four channel counts"),
        ("nano:stem=much", "stem: invalid literal"),
        ("nano:decoder=", "decoder: takes four channel counts"),
        ("nano_fused:fused=0", "fused gives the channels of at most 2 blocks,.* not 0"),
        ("nano_fused:fused=48,32,32", "at most 2 blocks,.* not 48, 32, 32"),
        ("nano_fused:fused=wide", "fused: invalid literal"),
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


@pytest.mark.parametrize("text", ["nano", "stdc1"])
def test_a_size_that_does_not_divide_is_told(text: str) -> None:
    with pytest.raises(UsageError, match=f"{text}: .*must divide by"):
        build_design(text, (60, 96))


def test_the_decoder_has_what_the_strides_leave() -> None:
    assert split_time({2: 0.25, 4: 0.75, 8: 1.0}, 1.5) == "2 0.25, 4 0.50, 8 0.25, decoder 0.50"


@pytest.mark.slow
def test_what_is_built_is_int8_and_as_large_as_asked() -> None:
    built = build("nano_lean:width=0.5:depth=0.3:encoder_stride=16", (64, 96))
    interpreter, _ = open_interpreter(built.flatbuffer, "design", "auto", 1)
    (taken,), (given,) = interpreter.get_input_details(), interpreter.get_output_details()
    assert (list(taken["shape"]), list(given["shape"])) == ([1, 64, 96, 3], [1, 16, 24, 4])
    assert taken["dtype"] is given["dtype"] is np.int8
    assert built.params < 60_000
    assert (built.parts, built.aside) == ({}, 0)  # dilated convolutions are delegated, too


@pytest.mark.slow
def test_a_design_is_timed_as_a_whole_and_by_stride(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The smaller bundled model stands for MobileNetV2."""
    design = "nano_lean:width=0.25:depth=0.3:stem_stride=4:encoder_stride=16"
    options = ["--size", "96x64", "--rounds", "10", "--by-stride", "--yardstick", str(SMALL_BUNDLED_MODEL)]
    monkeypatch.setattr(sys, "argv", ["designs", design, *options])
    assert main() == 0
    whole, split = capsys.readouterr().out.splitlines()
    assert re.fullmatch(rf"{design} +0\.0\d M  \d\.\d\d times \(.*", whole)
    number = r"-?\d\.\d\d"
    assert re.fullmatch(rf"    by stride: 4 {number}, 8 {number}, 16 {number}, decoder {number}", split)
