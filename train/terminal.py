"""What the commands have in common: an option, and how results are shown."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from edgeseg.classes import CLASS_NAMES

if TYPE_CHECKING:
    from edgeseg.iou import ConfusionMatrix

console = Console()

DataOption = Annotated[
    Path | None, typer.Option("--data", help="where the recipe's data paths start (default: the recipe's own folder)")
]


def print_matrix(name: str, matrix: ConfusionMatrix) -> None:
    """Prints IoU and shares of the true classes on one data set."""
    from train.report import format_matrix

    table = Table("", f"{name}, IoU %")
    for label, value in format_matrix(matrix):
        table.add_row(label, value)
    console.print(table)
    confusion = Table("truth \\ predicted", *CLASS_NAMES, title="pixels, % of the true class")
    for label, row in zip(CLASS_NAMES, matrix.counts, strict=True):
        confusion.add_row(label, *(f"{100 * count / max(int(row.sum()), 1):.2f}" for count in row))
    console.print(confusion)
