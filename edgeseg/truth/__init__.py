"""Camera truth: whether the pictures that come are pictures of the world.

signs.py reads numbers from one picture, stillness.py watches whether pictures repeat, camera_truth.py decides.
"""

from edgeseg.truth.camera_truth import CameraTruth, Condition, TruthConfig

__all__ = ["CameraTruth", "Condition", "TruthConfig"]
