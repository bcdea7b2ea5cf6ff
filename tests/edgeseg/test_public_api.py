"""`import edgeseg` gives the five lines of the README, and nothing heavy."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

import edgeseg

ROOT = Path(__file__).resolve().parents[2]


def test_importing_brings_in_no_framework_no_runtime_and_no_command_line() -> None:
    heavy = ("tensorflow", "keras", "ai_edge_litert", "tflite_runtime", "matplotlib", "aiohttp", "av", "typer", "rich")
    code = f"import sys, edgeseg; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
    assert done.stderr == ""


def test_segmenting_on_litert_brings_in_no_framework(tiny_model: Path) -> None:
    code = (
        "import sys, numpy, edgeseg\n"
        f"with edgeseg.Segmenter({str(tiny_model)!r}) as s: s.segment(numpy.zeros((9, 9, 3), numpy.uint8))\n"
        "print([name for name in ('tensorflow', 'keras') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_five_lines_make_an_overlay(tiny_model: Path, street: NDArray[np.uint8], tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "street.jpg"), street)
    image = cv2.imread(str(tmp_path / "street.jpg"))
    with edgeseg.Segmenter(tiny_model) as segmenter:
        segmentation = segmenter.segment(image)
    cv2.imwrite(str(tmp_path / "overlay.png"), edgeseg.draw_overlay(image, segmentation))
    drawn = cv2.imread(str(tmp_path / "overlay.png"))
    assert drawn.shape == street.shape
    assert np.abs(drawn[10:40].astype(int) - image[10:40]).max() == 0
    assert np.abs(drawn[150:190].astype(int) - image[150:190]).mean() > 20


def test_every_public_name_is_there_and_documented() -> None:
    for name in edgeseg.__all__:
        assert hasattr(edgeseg, name)
    for item in (edgeseg.Segmenter, edgeseg.draw_overlay, edgeseg.TemporalFusion, edgeseg.Frame, edgeseg.Segmentation):
        assert item.__doc__
    assert edgeseg.__doc__ is not None
    assert "Segmenter()" in edgeseg.__doc__
