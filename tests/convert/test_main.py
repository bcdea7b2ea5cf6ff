from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from convert.__main__ import main
from tests.convert.conftest import ROOT


def _run(*arguments: str | Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "convert", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200, env=env, check=False)


def test_command_prints_the_files_and_nothing_of_the_converter(color_run: Path, tmp_path: Path) -> None:
    result = _run(color_run, "--out", tmp_path, "--size", "160x96", "96x64", "--report", tmp_path / "report.html")
    assert result.returncode == 0, result.stderr
    assert result.stdout.splitlines() == [
        str(tmp_path / f"edgeseg-test-{size}-{kind}.tflite")
        for size in ("160x96", "96x64")
        for kind in ("float32", "int8")
    ]
    assert "conversion gate" in result.stderr
    assert len(result.stderr.splitlines()) < 40, result.stderr
    for size in ("160x96", "96x64"):
        assert "passes the gate" in (tmp_path / f"report-{size}.html").read_text()
    assert not (tmp_path / "report.html").exists()


def test_failed_gate_exits_with_65_and_its_table(
    color_run: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "night").mkdir()
    cv2.imwrite(str(tmp_path / "night" / "a.png"), np.full((64, 96, 3), 120, np.uint8))
    command = [color_run, "--out", tmp_path / "models", "--calibration", tmp_path / "night"]
    assert main([str(argument) for argument in command]) == 65
    out, err = capfd.readouterr()
    assert out == ""
    assert "FAIL" in err
    assert err.splitlines()[-1].startswith("convert: error: edgeseg-test-96x64-int8.tflite: not written")


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nowhere", "--out", "models"], 66, "nowhere: no such run folder or .keras file"),
        (["run", "--out", "models", "--size", "big"], 2, "--size: 'big' is not a size"),
        (["run"], 2, "--out"),
        (["run", "--out", "models", "--no-gate"], 2, "--no-gate"),
        ([], 2, "RUN_OR_KERAS"),
    ],
)
def test_wrong_use_is_one_clear_line(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("convert: error: ")
    assert message in line


def test_a_mapping_alone_is_refused_and_a_bug_has_a_code_of_its_own(
    color_run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    command = [str(color_run), "--out", str(tmp_path)]
    assert main([*command, "--mapping", "camvid"]) == 2
    assert "--mapping camvid: is for --validation" in capsys.readouterr().err
    monkeypatch.setattr("convert.conversion.open_all", lambda _: 1 // 0)
    assert main(command) == 70
    assert capsys.readouterr().err.splitlines()[-1].startswith("convert: this is a bug in edgeseg")


@pytest.mark.parametrize("package", ["tensorflow", "keras", "ai_edge_litert"])
def test_missing_package_is_one_line_that_says_how_to_install_it(color_run: Path, tmp_path: Path, package: str) -> None:
    """The virtual environment of a device has no TensorFlow."""
    # Python imports it at start-up and takes None for "there is no such module".
    (tmp_path / "sitecustomize.py").write_text(f"import sys\nsys.modules[{package!r}] = None\n")
    result = _run(color_run, "--out", tmp_path / "models", env={**os.environ, "PYTHONPATH": str(tmp_path)})
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line == f"convert: error: {package} is not installed; run pip install -e '.[convert]'"
