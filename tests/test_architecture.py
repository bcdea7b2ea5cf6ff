"""The shape of the project: who may import whom, what stays light, what a wheel holds."""

from __future__ import annotations

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from edgeseg.segmenter import BUNDLED_MODEL, SMALL_BUNDLED_MODEL

ROOT = Path(__file__).resolve().parent.parent

LINT_IMPORTS = Path(sys.executable).parent / "lint-imports"


def _copy_sources(folder: Path) -> None:
    shutil.copy(ROOT / "pyproject.toml", folder)
    for package in ("edgeseg", "train", "convert"):
        for source in (ROOT / package).rglob("*.py"):
            target = folder / source.relative_to(ROOT)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, target)


def _lint_imports(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([LINT_IMPORTS, "--no-cache"], cwd=folder, capture_output=True, text=True, timeout=120)


def test_import_rule_holds(tmp_path: Path) -> None:
    _copy_sources(tmp_path)
    result = _lint_imports(tmp_path)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line"),
    [
        ("edgeseg/frame.py", "import train"),
        ("edgeseg/frame.py", "import tensorflow"),
        ("convert/gate.py", "import train"),
        ("train/__init__.py", "import convert"),
    ],
)
def test_import_rule_catches(tmp_path: Path, module: str, line: str) -> None:
    _copy_sources(tmp_path)
    with (tmp_path / module).open("a") as source:
        source.write(f"\n{line}\n")
    result = _lint_imports(tmp_path)
    assert result.returncode == 1, result.stdout
    assert "BROKEN" in result.stdout


def test_importing_edgeseg_brings_in_no_training_framework() -> None:
    code = (
        "import sys, edgeseg, edgeseg.cli; "
        "print(sorted({'tensorflow', 'keras', 'jax', 'torch', 'matplotlib', 'train', 'convert'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert result.stdout.strip() == "[]"


def test_wheel_holds_the_device_side_only(tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", tmp_path],
        cwd=ROOT,
        capture_output=True,
        timeout=120,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == {"edgeseg"}
    for needed in ("edgeseg/py.typed", "edgeseg/mappings/camvid.yaml", "edgeseg/server/static/index.html"):
        assert needed in names
    models = {name for name in names if name.endswith(".tflite")}
    assert models == {f"edgeseg/models/{path.name}" for path in (BUNDLED_MODEL, SMALL_BUNDLED_MODEL)}
    assert not [name for name in names if name.endswith((".keras", ".mp4"))]
