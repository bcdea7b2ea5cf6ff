"""What the documents tell a reader to do can be done."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
DOCUMENTS = sorted(ROOT.glob("*.md"))
README = (ROOT / "README.md").read_text("utf-8")


def _blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.DOTALL | re.MULTILINE)


def _commands() -> list[tuple[str, ...]]:
    """Every (program, command, flags...) that the README shows."""
    found = set()
    for line in "".join(_blocks("sh")).splitlines():
        words = line.split("#")[0].split()
        for start, depth in ((["edgeseg"], 2), (["python", "-m", "train"], 4), (["python", "-m", "convert"], 3)):
            if words[: len(start)] == start:
                found.add((*words[:depth], *(word for word in words if word.startswith("--"))))
    return sorted(found)


@cache
def _help(*program: str) -> str:
    call = [sys.executable, "-m", *(program if program[0] == "edgeseg" else program[2:])]
    return subprocess.run([*call, "--help"], cwd=ROOT, capture_output=True, text=True, timeout=120, check=True).stdout


def test_readme_shows_every_command() -> None:
    shown = {command[1] for command in _commands() if command[0] == "edgeseg"}
    listed = set(re.findall(r"^  ([a-z]+) {2,}\S", _help("edgeseg").split("Commands:")[1], re.MULTILINE))
    assert listed - {"info"} <= shown <= listed
    assert "`edgeseg info FILE`" in README


@pytest.mark.parametrize("command", _commands(), ids=" ".join)
def test_flags_in_the_readme_exist(command: tuple[str, ...]) -> None:
    depth = next(index for index, word in enumerate((*command, "--")) if word.startswith("--"))
    text = _help(*command[:depth])
    for flag in command[depth:]:
        assert re.search(rf"{flag}\b", text), f"{flag} is not a flag of {' '.join(command[:depth])}"


def test_five_lines_of_python_work(tmp_path: Path) -> None:
    import cv2
    import numpy as np

    (code,) = _blocks("python")
    picture = np.full((240, 320, 3), 90, np.uint8)
    cv2.imwrite(str(tmp_path / "street.jpg"), picture)
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=env, timeout=120, check=True)
    assert cv2.imread(str(tmp_path / "overlay.png")).shape == picture.shape


def test_yaml_in_the_readme_is_what_the_program_reads(tmp_path: Path) -> None:
    from edgeseg.config_file import load_config
    from edgeseg.labels import LabelMapping

    config, mapping = _blocks("yaml")
    (tmp_path / "edgeseg.yaml").write_text(config)
    assert list(load_config(tmp_path / "edgeseg.yaml", []).cameras) == ["front", "rear"]
    assert LabelMapping.parse(mapping, "mine").name == "mine"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_links_between_documents_lead_somewhere(document: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)", document.read_text("utf-8")):
        assert target.startswith("https://") or (ROOT / target).exists(), target


def test_paths_in_the_documents_exist() -> None:
    """Names in backticks that look like files of this repository."""
    for document in DOCUMENTS:
        for name in re.findall(
            r"`((?:edgeseg|train|convert|tests|examples|benchmarks)/[\w./-]+)`", document.read_text("utf-8")
        ):
            assert (ROOT / name).exists(), f"{document.name}: {name}"
