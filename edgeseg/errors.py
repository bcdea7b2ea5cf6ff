"""The errors a user can cause or meet, and the exit code each one ends a command with.

    EdgesegError                       70
    ├── UsageError                      2   the command line cannot be followed
    ├── ModelError                     65   a model file is damaged, foreign or breaks the graph's contract
    ├── DataError                      65   a picture, a mask or a data set is damaged or inconsistent
    ├── InputNotFoundError             66   a named file or folder does not exist
    ├── SourceUnavailableError         69   a camera or a stream does not deliver
    ├── SinkUnavailableError           69   an output cannot be written
    └── ConfigError                    78   a configuration or mapping file is wrong

The codes follow sysexits(3). A message is one line that names the thing, what is wrong with it and what to do.
Anything that is not an EdgesegError is a bug of ours: it ends with 70 and its traceback.
"""

from __future__ import annotations

import sys
import traceback
from typing import ClassVar


def tell_bug(program: str) -> int:
    """Writes the traceback of the exception that is being handled, and whose it is; returns the exit code for it."""
    traceback.print_exc()
    sys.stderr.write(f"{program}: this is a bug in edgeseg; please report it with the lines above\n")
    return EdgesegError.exit_code


def explain(error: OSError) -> str:
    """Returns what the system says is wrong, to stand in the middle of a message."""
    return (error.strerror or str(error)).lower()


class EdgesegError(Exception):
    """Something a user can put right; carries the exit code of the command that meets it."""

    exit_code: ClassVar[int] = 70


class UsageError(EdgesegError):
    """The command line asks for something that cannot be done."""

    exit_code = 2


class ModelError(EdgesegError):
    """A model file is damaged, foreign or breaks the graph's contract."""

    exit_code = 65


class DataError(EdgesegError):
    """A picture, a mask or a data set is damaged or inconsistent."""

    exit_code = 65


class InputNotFoundError(EdgesegError):
    """A named input file or folder does not exist."""

    exit_code = 66


class SourceUnavailableError(EdgesegError):
    """A camera or a stream does not deliver frames."""

    exit_code = 69


class SinkUnavailableError(EdgesegError):
    """An output cannot be opened or written."""

    exit_code = 69


class ConfigError(EdgesegError):
    """A configuration file or a label mapping is wrong."""

    exit_code = 78
