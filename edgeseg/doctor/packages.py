"""Whether the installed packages are there and get along with each other."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata

from edgeseg.doctor.finding import Finding

#: All four hold the same module, cv2: the one installed last has overwritten the others' files.
OPENCV_WHEELS = (
    "opencv-python",
    "opencv-python-headless",
    "opencv-contrib-python",
    "opencv-contrib-python-headless",
)
RUNTIME_WHEELS = ("ai-edge-litert", "tflite-runtime", "tensorflow", "tensorflow-cpu")
LOOKED_FOR = ("numpy", "av", "aiohttp", *OPENCV_WHEELS, *RUNTIME_WHEELS)

# ai-edge-litert 2 was built for this glibc (Debian 12, Ubuntu 22.04, JetPack 6).
LITERT_2_GLIBC = (2, 34)


def installed_versions() -> dict[str, str]:
    """Returns the versions of the packages that matter here; imports none of them."""
    found = {}
    for name in LOOKED_FOR:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def check_packages(
    versions: Mapping[str, str] | None = None,
    *,
    python: tuple[int, ...] = tuple(sys.version_info[:3]),
    machine: str | None = None,
    glibc: tuple[int, ...] | None = None,
) -> list[Finding]:
    """Looks for missing packages and for those that cannot be together, by their names and versions alone."""
    versions = installed_versions() if versions is None else versions
    glibc = parse_version(platform.libc_ver()[1]) if glibc is None else glibc
    machine = machine or platform.machine()
    trouble = [*_missing(versions), *_opencv_conflicts(versions), *_runtime_conflicts(versions, glibc)]
    names = [f"{name} {version}" for name, version in versions.items()]
    here = f"Python {'.'.join(map(str, python))} on {machine}"
    details = {"python": ".".join(map(str, python)), "machine": machine, "versions": dict(versions)}
    return [Finding("packages", "ok", f"{here}: {', '.join(names) or 'nothing installed'}", details=details), *trouble]


def parse_version(text: str) -> tuple[int, ...]:
    """Returns the leading numbers of a version: (2, 36) of "2.36" and of "2.36rc1", () of "unknown"."""
    numbers = []
    for part in text.split("."):
        digits = part[: len(part) - len(part.lstrip("0123456789"))]
        if not digits:
            break
        numbers.append(int(digits))
        if digits != part:
            break
    return tuple(numbers)


def _missing(versions: Mapping[str, str]) -> Iterator[Finding]:
    for name in ("numpy", "av", "aiohttp"):
        if name not in versions:
            yield Finding("packages", "problem", f"{name} is not installed", "run: python -m pip install edgeseg")
    if not any(name in versions for name in RUNTIME_WHEELS):
        yield Finding("packages", "problem", "no TFLite runtime is installed", "run: python -m pip install edgeseg")
    if not any(name in versions for name in OPENCV_WHEELS):
        yield Finding(
            "packages",
            "warning",
            "OpenCV does not come from pip: its own packages may lack what edgeseg was tested with",
            "run: python -m pip install opencv-python-headless",
        )


def _opencv_conflicts(versions: Mapping[str, str]) -> Iterator[Finding]:
    wheels = [name for name in OPENCV_WHEELS if name in versions]
    if len(wheels) > 1:
        yield Finding(
            "packages",
            "problem",
            f"{' and '.join(wheels)} are both installed, and both own the module cv2",
            f"run: python -m pip uninstall -y {' '.join(wheels)} && python -m pip install opencv-python-headless",
        )
    numpy = parse_version(versions.get("numpy", ""))
    for name in wheels:
        if numpy and numpy < (2,) and parse_version(versions[name]) >= (4, 12):
            yield Finding(
                "packages",
                "problem",
                f"{name} {versions[name]} needs numpy 2, this is numpy {versions['numpy']}",
                f'run: python -m pip install "{name}<4.12", or "numpy>=2" where nothing else needs numpy 1',
            )


def _runtime_conflicts(versions: Mapping[str, str], glibc: tuple[int, ...]) -> Iterator[Finding]:
    numpy = parse_version(versions.get("numpy", ""))
    if "tflite-runtime" in versions and numpy >= (2,):
        # It imports, and fails only when an interpreter is made.
        others = [name for name in RUNTIME_WHEELS if name in versions and name != "tflite-runtime"]
        text = f"tflite-runtime {versions['tflite-runtime']} was built for numpy 1, this is numpy {versions['numpy']}"
        if others:
            yield Finding(
                "packages",
                "warning",
                f"{text}; {others[0]} is used instead",
                "run: python -m pip uninstall -y tflite-runtime",
            )
        else:
            yield Finding(
                "packages", "problem", text, 'run: python -m pip install "numpy<2" "opencv-python-headless<4.12"'
            )
    litert = versions.get("ai-edge-litert")
    if litert and parse_version(litert) >= (2,) and glibc and glibc < LITERT_2_GLIBC:
        yield Finding(
            "packages",
            "problem",
            f"ai-edge-litert {litert} needs glibc 2.34, this system has {'.'.join(map(str, glibc))}",
            'run: python -m pip install "ai-edge-litert<2"',
        )
