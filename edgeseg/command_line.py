"""What the command lines of edgeseg and train share: the errors of a command line that cannot be followed."""

from __future__ import annotations

from typing import Any

import typer

# The base of everything that typer raises for a mistyped command line. By its name among the bases of its child: newer
# versions of typer carry click inside themselves, and `import click` would find another class, or none.
CommandLineError: type[Any] = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")
