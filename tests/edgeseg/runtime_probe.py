"""Segments one picture with one runtime: `python runtime_probe.py RUNTIME MODEL PICTURE.npy OUT.npz`.

Run by tests under the interpreters that hold the fallback runtimes; prints the runtime that was used, or the error.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from edgeseg import EdgesegError, Segmenter

runtime, model, picture, out = sys.argv[1:]
try:
    with Segmenter(Path(model), runtime=runtime) as segmenter:
        image = np.load(picture)
        np.savez(out, logits=segmenter.logits(image), class_ids=segmenter.segment(image).class_ids)
        print(segmenter.runtime)
except EdgesegError as error:
    print(error)
    sys.exit(error.exit_code)
