"""Whether the model loads and runs here, and in what time."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np

from edgeseg.doctor.finding import Finding
from edgeseg.errors import EdgesegError
from edgeseg.runtimes import RuntimeChoice
from edgeseg.segmenter import Segmenter

SIZE_WH = (1280, 720)
#: The first run fills caches; the median of the others is told.
RUNS = 6


def check_model(path: Path | None = None, threads: int = 1, runtime: RuntimeChoice = "auto") -> list[Finding]:
    """Loads the model (the bundled one by default), verifies its card and segments a picture with it."""
    picture = np.zeros((SIZE_WH[1], SIZE_WH[0], 3), np.uint8)
    picture[:] = np.linspace(0, 255, SIZE_WH[0], dtype=np.uint8)[None, :, None]
    try:
        with Segmenter(path, threads, runtime) as segmenter:
            spent = [sum(segmenter.segment(picture).timings.values()) for _ in range(RUNS)][1:]
            card = segmenter.card
            details = {
                "path": str(segmenter.path),
                "name": card.name,
                "version": card.version,
                "input_hw": card.input_hw,
                "runtime": segmenter.runtime,
                "threads": threads,
                "ms": statistics.median(spent),
            }
    except EdgesegError as error:
        text, _, remedy = str(error).rpartition("; ")
        return [Finding("model", "problem", text or remedy, remedy if text else "give another model")]
    height, width = card.input_hw
    return [
        Finding(
            "model",
            "ok",
            f"{card.name} {width}x{height} on {details['runtime']}: {statistics.median(spent):.1f} ms a picture with "
            f"{threads} thread{'s' * (threads > 1)}",
            details=details,
        )
    ]
