"""The TFLite runtimes a model can run on: which one is installed, and how to make an interpreter of it.

ai-edge-litert is the default. tflite-runtime, its predecessor, is the only one for 32-bit ARM. tensorflow brings its
own interpreter and is there for the machine that trained the model.
"""

from __future__ import annotations

import importlib
import importlib.util
import warnings
from collections.abc import Sequence
from typing import Any, Literal, Protocol, get_args

import numpy as np

from edgeseg.errors import ConfigError, ModelError

RuntimeName = Literal["ai-edge-litert", "tflite-runtime", "tensorflow"]
RuntimeChoice = Literal["auto", "ai-edge-litert", "tflite-runtime", "tensorflow"]

#: In order of preference: the package's name on PyPI and the module that holds its Interpreter.
RUNTIMES: dict[RuntimeName, str] = {
    "ai-edge-litert": "ai_edge_litert.interpreter",
    "tflite-runtime": "tflite_runtime.interpreter",
    # Never imported by name: `import edgeseg` and a device know nothing of TensorFlow.
    "tensorflow": "tensorflow",
}


class Interpreter(Protocol):
    """The part of tf.lite.Interpreter that edgeseg uses; the three runtimes share it."""

    def allocate_tensors(self) -> None: ...
    def get_input_details(self) -> list[dict[str, Any]]: ...
    def get_output_details(self) -> list[dict[str, Any]]: ...
    def get_tensor_details(self) -> list[dict[str, Any]]: ...
    def set_tensor(self, index: int, value: Any) -> None: ...
    def get_tensor(self, index: int) -> Any: ...
    def tensor(self, index: int) -> Any: ...
    def invoke(self) -> None: ...
    def _get_ops_details(self) -> list[dict[str, Any]]: ...


def installed_runtimes() -> tuple[RuntimeName, ...]:
    """The runtimes whose package is installed, in order of preference; imports none of them."""
    return tuple(name for name, module in RUNTIMES.items() if importlib.util.find_spec(module.split(".")[0]))


def choose_runtime(choice: RuntimeChoice = "auto", installed: Sequence[RuntimeName] | None = None) -> RuntimeName:
    """The runtime to use: the one asked for, or the best one installed. Raises ConfigError when it is not there.

    installed: in order of preference; by default what installed_runtimes() finds.
    """
    if choice not in get_args(RuntimeChoice):
        raise ConfigError(f"unknown runtime {choice!r}; use one of {', '.join(get_args(RuntimeChoice))}")
    if installed is None:
        installed = installed_runtimes()
    if choice == "auto":
        if not installed:
            raise ConfigError("no TFLite runtime is installed; run `pip install ai-edge-litert`")
        return installed[0]
    if choice not in installed:
        raise ConfigError(f"the runtime {choice} is not installed; run `pip install {choice}`")
    return choice


def open_interpreter(
    flatbuffer: bytes, name: str, runtime: RuntimeChoice = "auto", threads: int = 1
) -> tuple[Interpreter, RuntimeName]:
    """An interpreter over a model's bytes, its tensors allocated, and the runtime it is of.

    `name` is what errors call the model. Raises ConfigError when the runtime is missing or broken, ModelError when it
    cannot run the model. The bytes must be a whole FlatBuffer: a runtime may crash the process on a damaged one.
    """
    chosen = choose_runtime(runtime)
    try:
        module = importlib.import_module(RUNTIMES[chosen])
        factory = module.lite.Interpreter if chosen == "tensorflow" else module.Interpreter
        with warnings.catch_warnings():
            # TensorFlow announces that its interpreter moves to ai-edge-litert; whoever chose it knows.
            warnings.simplefilter("ignore")
            interpreter: Interpreter = factory(model_content=flatbuffer, num_threads=threads)
    except (ImportError, AttributeError, SystemError) as error:
        # tflite-runtime 2.14 does not ask for numpy 1 but needs it: under numpy 2 it imports, and fails only here, with
        # an ImportError or, wrapped by Python, a SystemError.
        old_numpy = chosen == "tflite-runtime" and int(np.__version__.split(".")[0]) >= 2
        remedy = 'run `pip install "numpy<2"`' if old_numpy else f"reinstall it: `pip install {chosen}`"
        reason = f"it was built for numpy 1, this is numpy {np.__version__}" if old_numpy else _one_line(error)
        raise ConfigError(f"the runtime {chosen} is installed but does not work: {reason}; {remedy}") from error
    except ValueError as error:
        raise ModelError(f"{name}: {chosen} cannot read the model: {_one_line(error)}") from error
    try:
        interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise ModelError(f"{name}: {chosen} cannot run the model: {_one_line(error)}") from error
    return interpreter, chosen


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
