"""Small real models for the tests of the device side, built once by TensorFlow and kept in pytest's cache."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from numpy.typing import NDArray

from edgeseg.model_card import ModelCard, append_card

# A busy machine is no reason to fail, and a failure must come back when the test is run again.
settings.register_profile("edgeseg", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("edgeseg")

_BUILDER = Path(__file__).parent / "tiny_models.py"
#: Of the models that tiny_models.py builds.
TINY_HW = (64, 96)


@pytest.fixture(scope="session")
def bare_models(request: pytest.FixtureRequest) -> Path:
    """A folder of .tflite files without cards: int8, float32, three-classes, classifier, other-input-range."""
    assert request.config.cache is not None
    key = hashlib.sha256(_BUILDER.read_bytes()).hexdigest()[:16]
    folder = request.config.cache.mkdir("tiny-models") / key
    if not folder.is_dir():
        partial = folder.with_name(f"{key}.{os.getpid()}")
        partial.mkdir()
        env = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1", "KERAS_BACKEND": "tensorflow", "TF_CPP_MIN_LOG_LEVEL": "2"}
        built = subprocess.run(
            [sys.executable, str(_BUILDER), str(partial)], env=env, capture_output=True, text=True, check=False
        )
        assert built.returncode == 0, built.stdout + built.stderr
        try:
            partial.rename(folder)
        except OSError:
            # Another process of the same run was quicker.
            shutil.rmtree(partial)
            assert folder.is_dir()
    return folder


@pytest.fixture(scope="session")
def make_model(bare_models: Path) -> Callable[..., Path]:
    """make_model(path, kind, **card fields): a model of that kind with a card, written to path."""

    def make(path: Path, kind: str = "int8", **card: Any) -> Path:
        shutil.copyfile(bare_models / f"{kind}.tflite", path)
        fields = {"name": "tiny", "input_hw": TINY_HW, "quantization": "float32" if kind == "float32" else "int8"}
        append_card(path, ModelCard(**{**fields, **card}))
        return path

    return make


@pytest.fixture(scope="session")
def tiny_model(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound INT8 model: green is road, blue vehicle, red person, everything else other."""
    return make_model(tmp_path_factory.mktemp("model") / "tiny-96x64-int8.tflite")


@pytest.fixture(scope="session")
def tiny_float_model(make_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same model in float32."""
    return make_model(tmp_path_factory.mktemp("model") / "tiny-96x64-float32.tflite", "float32")


@pytest.fixture
def street() -> NDArray[np.uint8]:
    """A 320x200 BGR picture that the tiny models read: grey above, green road below, a blue and a red box."""
    image = np.full((200, 320, 3), 60, np.uint8)
    cv2.rectangle(image, (0, 100), (319, 199), (0, 255, 0), -1)
    cv2.rectangle(image, (40, 60), (119, 139), (255, 0, 0), -1)
    cv2.rectangle(image, (200, 60), (239, 139), (0, 0, 255), -1)
    return image
