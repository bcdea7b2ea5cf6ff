"""What all tests share: the bundled files, the fallback runtime's interpreter, and the rule on skipping."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Generator
from pathlib import Path

import pytest

with contextlib.suppress(ImportError):
    # Before TensorFlow, which some tests import: its libsrtp crashes when it is loaded after that.
    import aiortc  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turns a skip into a failure where everything must run (EDGESEG_ALL_TESTS=1): a skip there hides a gap."""
    report = yield
    if report.skipped and not hasattr(report, "wasxfail") and os.environ.get("EDGESEG_ALL_TESTS") == "1":
        report.outcome = "failed"
        report.longrepr = f"skipped although EDGESEG_ALL_TESTS=1: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def bundled_clip() -> Path:
    """The bundled drive: 221 frames, 960x540 at 25 a second."""
    return ROOT / "examples" / "drive" / "highway.mp4"


@pytest.fixture(scope="session")
def tflite_runtime_python() -> Path:
    """The interpreter of the environment that holds tflite-runtime and no other runtime; `make test` sets it up."""
    python = Path(os.environ.get("EDGESEG_TFLITE_RUNTIME_PYTHON", ROOT / ".venv-tflite-runtime" / "bin" / "python"))
    if not python.exists():
        pytest.skip(f"no {python}: tflite-runtime has no wheels past Python 3.11; run `make test` with one installed")
    return python
