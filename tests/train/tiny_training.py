"""`python -m train` with one more network, `tiny`: the project's own layers, few enough to be traced in seconds.

As a script (`python -m tests.train.tiny_training`) it takes the arguments of `python -m train`.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from train.architectures import Architecture


def design_tiny() -> Architecture:
    """Stride 8, so one step of the decoder; batch norms, dropout and the context branch as in every other network."""
    # Not at the top: the worker processes of a run import this file too, and need no TensorFlow.
    from train.architectures import Architecture, Stage

    stages = (Stage(8, 1, stride=2, expansion=1), Stage(16, 1, stride=2, expansion=2))
    return Architecture("tiny", stem=8, stages=stages, decoder=(16, 16, 16, 16), context=16)


if __name__ == "__main__":
    from train.__main__ import main
    from train.architectures import ARCHITECTURES

    ARCHITECTURES["tiny"] = design_tiny()
    sys.exit(main(sys.argv[1:]))
