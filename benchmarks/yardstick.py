"""Compares a model with MobileNetV2 1.0 224 in full INT8, the yardstick everybody's phone and board is measured by.

    python -m benchmarks.yardstick [--model MODEL.tflite] [--keep mobilenet_v2_1.0_224_int8.tflite] [--rounds 300]

Weights do not matter to speed, so the yardstick is built with random ones; that needs TensorFlow. On a board without
it, bring the kept file and run `edgeseg bench --against FILE`. The bar: the bundled nano takes at most 1.4 times as
long, `small` (with --bar 3.5) 3.5 times.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from edgeseg import benchmark
from edgeseg.errors import EdgesegError, UsageError

NAME = "MobileNetV2 1.0 224 INT8"
BAR = 1.4
ROOT = Path(__file__).resolve().parents[1]


def build(path: Path) -> None:
    """Write MobileNetV2 1.0 224, int8 in and out, batch 1, builtin operations only."""
    import keras
    import tensorflow as tf

    keras.utils.set_random_seed(0)
    network = keras.applications.MobileNetV2((224, 224, 3), weights=None)
    inputs = keras.Input(batch_shape=(1, 224, 224, 3))
    model = keras.Model(inputs, network(inputs))

    def pictures() -> Iterator[list[np.ndarray]]:
        generator = np.random.default_rng(0)
        for _ in range(4):
            yield [generator.uniform(-1, 1, (1, 224, 224, 3)).astype(np.float32)]

    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = pictures
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    partial = path.with_name(f".{path.name}.part")
    partial.write_bytes(converter.convert())
    partial.replace(path)  # in one step: what was killed half-way is not taken for the yardstick


def build_apart(path: Path) -> Path:
    """`path`, built when it is not there yet, by a process that is gone, with its threads, when time is taken.

    Raises UsageError where there is no TensorFlow.
    """
    if not path.exists():
        command = [sys.executable, "-m", "benchmarks.yardstick", "--build-only", "--keep", str(path.absolute())]
        found = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace", check=False)
        if found.returncode:
            reason = next(reversed(found.stderr.split("\n")[:-1]), "no reason given")
            raise UsageError(f"{path}: the yardstick cannot be built ({reason}); it needs TensorFlow, or bring it")
    return path


def main() -> int:
    parser = argparse.ArgumentParser(description="Compare a model with MobileNetV2 1.0 224 INT8.")
    parser.add_argument("--model", type=Path, help="the .tflite to judge; the bundled nano by default")
    parser.add_argument("--keep", type=Path, help="keep the yardstick here, and use it when it is there already")
    parser.add_argument("--rounds", type=int, default=300)
    parser.add_argument("--bar", type=float, default=BAR, help=f"the ratio above which this fails (default {BAR})")
    parser.add_argument("--build-only", action="store_true", help="write --keep and measure nothing")
    arguments = parser.parse_args()
    if arguments.build_only and arguments.keep is None:
        parser.error("--build-only needs --keep, where it is written")
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.keep or Path(folder) / "mobilenet_v2_1.0_224_int8.tflite"
        if arguments.build_only:
            build(path)
            return 0
        try:
            benchmark.check_rounds(arguments.rounds)  # before the yardstick is built
            found = benchmark.run(arguments.model, build_apart(path), rounds=arguments.rounds).comparison
        except EdgesegError as error:
            print(f"yardstick: error: {error}", file=sys.stderr)
            return error.exit_code
    assert found is not None
    print(f"{found.ratio:.2f} times {NAME}; the bar is {arguments.bar}")
    return 0 if found.ratio <= arguments.bar else 1


if __name__ == "__main__":
    sys.exit(main())
