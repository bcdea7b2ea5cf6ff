"""Keeps a talkative library out of the command's output."""

from __future__ import annotations

import contextlib
import os
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """Discards what is printed and warned inside, from Python and from C++; exceptions pass as they are.

    TensorFlow's converter prints about 120 lines a run and its import a few more, none of which a user can act on.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    streams = (1, 2)
    saved = [os.dup(stream) for stream in streams]
    try:
        with Path(os.devnull).open("w") as nowhere:
            for stream in streams:
                os.dup2(nowhere.fileno(), stream)
            with (
                contextlib.redirect_stdout(nowhere),
                contextlib.redirect_stderr(nowhere),
                warnings.catch_warnings(),
            ):
                warnings.simplefilter("ignore")
                yield
    finally:
        for stream, copy in zip(streams, saved, strict=True):
            os.dup2(copy, stream)
            os.close(copy)
