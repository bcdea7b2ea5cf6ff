"""The error tree keeps its promise on exit codes."""

from __future__ import annotations

import re

import pytest

from edgeseg import errors

CODES = {
    errors.UsageError: 2,
    errors.ModelError: 65,
    errors.DataError: 65,
    errors.InputNotFoundError: 66,
    errors.SourceUnavailableError: 69,
    errors.SinkUnavailableError: 69,
    errors.ConfigError: 78,
}


@pytest.mark.parametrize(("kind", "code"), CODES.items())
def test_every_error_is_an_edgeseg_error_with_its_code(kind: type[errors.EdgesegError], code: int) -> None:
    assert issubclass(kind, errors.EdgesegError)
    assert kind.exit_code == code


def test_the_drawn_tree_shows_every_error_with_its_code() -> None:
    drawn = dict(re.findall(r"[├└]── (\w+)\s+(\d+)", errors.__doc__ or ""))
    assert drawn == {kind.__name__: str(code) for kind, code in CODES.items()}
    assert set(CODES) == set(errors.EdgesegError.__subclasses__())


def test_what_the_system_says_stands_in_the_middle_of_a_line() -> None:
    assert errors.explain(FileNotFoundError(2, "No such file or directory")) == "no such file or directory"
    assert errors.explain(OSError("Timed out")) == "timed out"
