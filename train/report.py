"""Pictures of a run: curves, confusion matrix, predictions beside the truth."""

from __future__ import annotations

from train.config import Recipe
from train.run_folder import RunFolder


def write_report(run: RunFolder, recipe: Recipe) -> None:
    """Placeholder while the first run trains."""
