"""Runs of training for tests: started as a user does it, and read back."""

from __future__ import annotations

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def start_training(
    recipe: Path, out: Path, *more: str, backend: str = "tensorflow"
) -> Iterator[subprocess.Popen[bytes]]:
    """A real training process; its output goes into OUT.log, and it does not outlive the block."""
    env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": backend, "JAX_PLATFORMS": "cpu"}
    if backend == "jax":
        # Of so small a network XLA takes longer to make fast code than to run slow code.
        env["XLA_FLAGS"] = "--xla_backend_optimization_level=0"
    command = [sys.executable, "-m", "tests.train.tiny_training", "fit", str(recipe), "--out", str(out), *more]
    with (
        out.with_suffix(".log").open("wb") as log,
        subprocess.Popen(command, cwd=ROOT, env=env, stdout=log, stderr=subprocess.STDOUT) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def finish(process: subprocess.Popen[bytes], out: Path) -> None:
    assert process.wait(timeout=240) == 0, out.with_suffix(".log").read_text()


def read_rows(folder: Path) -> list[dict[str, float]]:
    with (folder / "metrics.csv").open(newline="") as stream:
        return [{key: float(value) for key, value in row.items() if key != "seconds"} for row in csv.DictReader(stream)]
