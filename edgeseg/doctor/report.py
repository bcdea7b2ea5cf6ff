"""The doctor's findings as people and as programs want them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from edgeseg.doctor.finding import Finding, Level, worst

_STYLES: dict[Level, str] = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def as_json(findings: Sequence[Finding]) -> dict[str, Any]:
    """Returns all findings, the worst level among them, and what to do, the worst first."""
    return {
        "level": worst(findings),
        "findings": [finding.record() for finding in findings],
        "to_do": [finding.remedy for finding in to_do(findings)],
    }


def to_do(findings: Sequence[Finding]) -> list[Finding]:
    """Returns the findings that ask for something, problems first, each remedy once."""
    asking = [finding for level in ("problem", "warning") for finding in findings if finding.level == level]
    return list({finding.remedy: finding for finding in reversed(asking)}.values())[::-1]


def show(findings: Sequence[Finding], console: Console) -> None:
    """Prints a table of the findings, and then what to do."""
    table = Table(show_header=False)
    table.add_column("level")
    table.add_column("check", style="bold")
    table.add_column("finding", overflow="fold")
    for finding in findings:
        table.add_row(f"[{_STYLES[finding.level]}]{finding.level}[/]", finding.check, escape(finding.text))
    console.print(table)
    asking = to_do(findings)
    if not asking:
        console.print("Nothing to do.")
        return
    console.print("What to do:")
    for number, finding in enumerate(asking, 1):
        console.print(f"{number}. {escape(finding.text)}:\n   {escape(finding.remedy)}", highlight=False)
