"""The three runtimes give the same scores; one that is missing or broken says what to install."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from edgeseg import Segmenter
from edgeseg.errors import ConfigError, ModelError
from edgeseg.runtimes import choose_runtime, installed_runtimes, open_interpreter

ROOT = Path(__file__).resolve().parents[2]
PROBE = Path(__file__).with_name("runtime_probe.py")


def probe(
    python: Path, runtime: str, model: Path, picture: Path, out: Path, path: Path | None = None
) -> subprocess.CompletedProcess[str]:
    search = os.pathsep.join(str(item) for item in (ROOT, path) if item)
    env = {**os.environ, "PYTHONPATH": search, "CUDA_VISIBLE_DEVICES": "-1"}
    command = [str(python), str(PROBE), runtime, str(model), str(picture), str(out)]
    return subprocess.run(command, env=env, capture_output=True, text=True, timeout=120, check=False)


@pytest.fixture
def picture(tmp_path: Path, street: NDArray[np.uint8]) -> Path:
    np.save(tmp_path / "street.npy", street)
    return tmp_path / "street.npy"


def assert_same_as_litert(runtime: str, python: Path, model: Path, picture: Path, out: Path) -> None:
    done = probe(python, runtime, model, picture, out)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split()[-1] == runtime
    image = np.load(picture)
    with Segmenter(model, runtime="ai-edge-litert") as segmenter, np.load(out) as theirs:
        ours = segmenter.logits(image)
        scale = segmenter.interpreter.get_output_details()[0]["quantization"][0] or 1e-5
        # One step of the scores: kernels round differently, and a cell on the fence may fall to the other side.
        assert np.abs(theirs["logits"] - ours).max() <= 1.01 * scale
        assert (theirs["class_ids"] == segmenter.segment(image).class_ids).mean() > 0.99


def test_tflite_runtime_gives_the_same_scores(
    tflite_runtime_python: Path, tiny_model: Path, tiny_float_model: Path, picture: Path, tmp_path: Path
) -> None:
    for model in (tiny_model, tiny_float_model):
        assert_same_as_litert("tflite-runtime", tflite_runtime_python, model, picture, tmp_path / "out.npz")


def test_tensorflow_gives_the_same_scores(tiny_model: Path, picture: Path, tmp_path: Path) -> None:
    assert_same_as_litert("tensorflow", Path(sys.executable), tiny_model, picture, tmp_path / "out.npz")


def test_tflite_runtime_is_found_by_itself_where_it_is_the_only_one(
    tflite_runtime_python: Path, tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    done = probe(tflite_runtime_python, "auto", tiny_model, picture, tmp_path / "out.npz")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.split()[-1] == "tflite-runtime"


def test_tflite_runtime_under_numpy_2_says_what_to_install(
    tflite_runtime_python: Path, tiny_model: Path, picture: Path, tmp_path: Path
) -> None:
    """The real thing: tflite-runtime's package seen by this interpreter, which has numpy 2."""
    assert int(np.__version__.split(".")[0]) >= 2
    (package,) = tflite_runtime_python.parents[1].glob("lib/python*/site-packages/tflite_runtime")
    only = tmp_path / "only-tflite-runtime"
    only.mkdir()
    (only / "tflite_runtime").symlink_to(package)
    done = probe(Path(sys.executable), "tflite-runtime", tiny_model, picture, tmp_path / "out.npz", only)
    assert done.returncode == ConfigError.exit_code, done.stdout + done.stderr
    (message,) = done.stdout.strip().splitlines()
    assert message.startswith("the runtime tflite-runtime is installed but does not work")
    if package.parents[1].name == f"python{sys.version_info.major}.{sys.version_info.minor}":
        assert message.endswith('run `pip install "numpy<2"`')


def test_a_runtime_that_is_not_there_says_how_to_get_it(tflite_runtime_python: Path, tiny_model: Path) -> None:
    done = probe(tflite_runtime_python, "ai-edge-litert", tiny_model, Path("none.npy"), Path("none.npz"))
    assert done.returncode == ConfigError.exit_code
    assert done.stdout == "the runtime ai-edge-litert is not installed; run `pip install ai-edge-litert`\n"


def test_auto_prefers_litert_and_nonsense_is_refused() -> None:
    assert choose_runtime() == installed_runtimes()[0] == "ai-edge-litert"
    with pytest.raises(ConfigError, match=re.escape("unknown runtime 'onnx'; use one of auto, ai-edge-litert")):
        choose_runtime("onnx")  # type: ignore[arg-type]


def test_bytes_that_are_no_model_are_refused_by_name() -> None:
    with pytest.raises(ModelError, match=r"my\.tflite: ai-edge-litert cannot read the model") as caught:
        open_interpreter(b"no model at all", "my.tflite")
    assert "\n" not in str(caught.value)


def test_threads_do_not_change_the_scores(tiny_model: Path, street: NDArray[np.uint8]) -> None:
    with Segmenter(tiny_model, threads=1) as one, Segmenter(tiny_model, threads=2) as two:
        assert np.array_equal(one.logits(street), two.logits(street))


def test_no_runtime_at_all_names_the_one_to_install() -> None:
    with pytest.raises(ConfigError, match="no TFLite runtime is installed; run `pip install ai-edge-litert`"):
        choose_runtime("auto", installed=())
    assert choose_runtime("auto", installed=("tflite-runtime", "tensorflow")) == "tflite-runtime"
