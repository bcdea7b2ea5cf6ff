"""Whatever a user mistypes arrives as one kind of error, whichever way typer brings click along."""

from __future__ import annotations

import pytest
import typer

from edgeseg.command_line import CommandLineError

app = typer.Typer(add_completion=False)


@app.command()
def ride(wheels: int) -> None:
    """Takes one number."""


@pytest.mark.parametrize("arguments", [[], ["two"], ["--fast"], ["2", "3"]])
def test_every_mistyped_command_line_is_caught(arguments: list[str]) -> None:
    with pytest.raises(CommandLineError) as caught:
        app(arguments, standalone_mode=False)
    assert caught.value.format_message()
