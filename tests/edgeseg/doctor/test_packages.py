"""Which packages are missing, and which cannot be together."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from edgeseg.doctor.finding import Finding
from edgeseg.doctor.packages import check_packages, installed_versions, parse_version

SOUND = {
    "numpy": "2.1.0",
    "av": "14.4.0",
    "aiohttp": "3.10.0",
    "opencv-python-headless": "4.12.0.88",
    "ai-edge-litert": "2.3.0",
}


def check(versions: Mapping[str, str], glibc: tuple[int, ...] = (2, 36)) -> list[Finding]:
    return check_packages(versions, python=(3, 11, 2), machine="aarch64", glibc=glibc)


def test_packages_that_get_along_are_well() -> None:
    (finding,) = check(SOUND)
    assert finding.level == "ok"
    assert finding.text.startswith("Python 3.11.2 on aarch64: numpy 2.1.0")
    assert finding.details["versions"] == SOUND


@pytest.mark.parametrize(
    ("change", "level", "text", "remedy"),
    [
        ({"opencv-python": "4.12.0.88"}, "problem", "both own the module cv2", "uninstall -y opencv-python "),
        ({"numpy": "1.26.4"}, "problem", "needs numpy 2, this is numpy 1.26.4", '"opencv-python-headless<4.12"'),
        ({"tflite-runtime": "2.14.0"}, "warning", "ai-edge-litert is used instead", "uninstall -y tflite-runtime"),
        ({"tflite-runtime": "2.14.0", "ai-edge-litert": ""}, "problem", "was built for numpy 1", '"numpy<2"'),
        ({"ai-edge-litert": ""}, "problem", "no TFLite runtime", "install edgeseg"),
        ({"av": ""}, "problem", "av is not installed", "install edgeseg"),
        ({"opencv-python-headless": ""}, "warning", "does not come from pip", "opencv-python-headless"),
    ],
)
def test_each_conflict_is_told_with_what_to_do(change: dict[str, str], level: str, text: str, remedy: str) -> None:
    versions = {name: version for name, version in {**SOUND, **change}.items() if version}
    sound, *found = check(versions)
    assert sound.level == "ok"
    (finding,) = found
    assert finding.level == level
    assert text in finding.text
    assert remedy in finding.remedy


def test_the_runtime_of_32_bit_boards_with_numpy_1_is_well() -> None:
    versions = {
        "numpy": "1.26.4",
        "av": "14.4.0",
        "aiohttp": "3.10.0",
        "opencv-python-headless": "4.11.0.86",
        "tflite-runtime": "2.14.0",
    }
    assert [finding.level for finding in check(versions)] == ["ok"]


def test_a_system_too_old_for_the_runtime_is_told_which_one_fits() -> None:
    _, finding = check(SOUND, glibc=(2, 31))
    assert (finding.level, '"ai-edge-litert<2"' in finding.remedy) == ("problem", True)
    assert [item.level for item in check({**SOUND, "ai-edge-litert": "1.4.0"}, glibc=(2, 31))] == ["ok"]
    assert [item.level for item in check(SOUND, glibc=())] == ["ok"]


def test_what_is_installed_here_is_read() -> None:
    versions = installed_versions()
    assert versions["numpy"]
    assert check_packages()[0].details["versions"] == versions


@pytest.mark.parametrize(
    ("text", "numbers"), [("2.36", (2, 36)), ("5.0.0.93", (5, 0, 0, 93)), ("2.1rc1", (2, 1)), ("", ()), ("dev", ())]
)
def test_versions_are_read_up_to_where_they_are_numbers(text: str, numbers: tuple[int, ...]) -> None:
    assert parse_version(text) == numbers
