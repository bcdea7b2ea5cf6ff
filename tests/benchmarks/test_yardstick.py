"""benchmarks/yardstick.py says whether a model keeps to its bar. The smaller bundled model stands for MobileNetV2."""

from __future__ import annotations

import sys

import pytest

from benchmarks.yardstick import main
from edgeseg.segmenter import SMALL_BUNDLED_MODEL


@pytest.mark.parametrize(("bar", "code"), [("1000", 0), ("0.001", 1)])
def test_the_exit_code_is_that_of_the_bar(
    bar: str, code: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["yardstick", "--keep", str(SMALL_BUNDLED_MODEL), "--rounds", "10", "--bar", bar]
    monkeypatch.setattr(sys, "argv", command)
    assert main() == code
    assert f"; the bar is {float(bar)}" in capsys.readouterr().out


def test_building_alone_says_where_to(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["yardstick", "--build-only"])
    with pytest.raises(SystemExit, match="2"):
        main()
    assert "--build-only needs --keep" in capsys.readouterr().err


def test_a_model_that_is_not_there_is_told(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["yardstick", "--keep", str(SMALL_BUNDLED_MODEL), "--model", "none.tflite"])
    assert main() == 66
    assert "yardstick: error: none.tflite" in capsys.readouterr().err
