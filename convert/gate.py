"""The gate: what an INT8 model must fulfil before it may leave the conversion."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.table import Table

from convert.graph import GraphOp
from edgeseg.errors import ModelError

#: The most that a class, and the mean of all but the first (`other`), may lose from float32 to INT8, in IoU points
#: (hundredths of IoU).
MAX_LOSS_POINTS, MAX_MEAN_LOSS_POINTS = 0.6, 0.3


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the verdict: what was looked at, what was measured, what is allowed, and whether it passes."""

    subject: str
    measured: str
    allowed: str
    passed: bool


class GateFailedError(ModelError):
    """The converted model breaks the gate; `findings` says where."""

    def __init__(self, message: str, findings: Sequence[Finding]) -> None:
        super().__init__(message)
        self.findings = tuple(findings)


def judge_ops(ops: Sequence[GraphOp]) -> list[Finding]:
    """Judges the graph: every op builtin and on XNNPACK (the whole graph runs for every frame, so all of it is hot)."""
    findings = []
    for op in ops:
        where = f"op {op.index} {op.name} {'x'.join(map(str, op.output_shape))}"
        if not op.builtin:
            findings.append(Finding(where, "custom op", "builtin ops only", False))
        elif not op.delegated:
            findings.append(Finding(where, "runs outside XNNPACK", "every op on XNNPACK", False))
    if not findings:
        findings.append(Finding(f"{len(ops)} ops", "all builtin, all on XNNPACK", "every op on XNNPACK", True))
    return findings


def judge_loss(before: Mapping[str, float], after: Mapping[str, float], dataset: str = "") -> list[Finding]:
    """Judges what each class loses from float32 (`before`) to INT8 (`after`); IoU as ratios. `dataset`: measured where.

    A class that occurs in neither the masks nor the predictions has nan; it cannot be judged, and says so. A
    validation set in which nothing can be judged does not pass.
    """
    limit = f"at most {MAX_LOSS_POINTS:.1f} points"
    findings = []
    losses = {}
    place = f" on {dataset}" if dataset else ""
    for name, float_iou in before.items():
        if math.isnan(float_iou):
            # Seen by the INT8 model alone: every such pixel is wrong, and already costs the class it was taken from.
            findings.append(Finding(f"class {name}{place}", "not in the validation set: not judged", limit, True))
            continue
        # nan after a figure: the float model saw the class where it is not, and the INT8 model rightly does not.
        int8_iou = float_iou if math.isnan(after[name]) else after[name]
        loss = 100 * (float_iou - int8_iou)
        measured = f"{float_iou:.4f} -> {int8_iou:.4f}: {-loss:+.2f} points"
        findings.append(Finding(f"class {name}{place}", measured, limit, loss <= MAX_LOSS_POINTS))
        losses[name] = loss
    # The first class is what is nothing else; where it alone occurs it is the mean.
    rest = next(iter(before))
    counted = [loss for name, loss in losses.items() if name != rest] or list(losses.values())
    if counted:
        mean = sum(counted) / len(counted)
        limit = f"at most {MAX_MEAN_LOSS_POINTS:.1f} points"
        findings.append(Finding(f"mean{place}", f"{-mean:+.2f} points", limit, mean <= MAX_MEAN_LOSS_POINTS))
    if all(math.isnan(value) for value in before.values()):
        findings.append(Finding(dataset or "validation set", "no labelled pixel", "at least one class", False))
    return findings


def enforce(findings: Sequence[Finding], name: str) -> None:
    """Raises GateFailedError when any finding has not passed."""
    failed = [finding for finding in findings if not finding.passed]
    if failed:
        more = f" (and {len(failed) - 1} more)" if len(failed) > 1 else ""
        raise GateFailedError(
            f"{name}: not written, the conversion gate failed: {failed[0].subject}: {failed[0].measured}, "
            f"allowed: {failed[0].allowed}{more}",
            findings,
        )


def tabulate(findings: Sequence[Finding]) -> Table:
    """Lays the verdict out for a terminal, failures marked."""
    table = Table("", "checked", "measured", "allowed", title="conversion gate", title_justify="left")
    for finding in findings:
        mark, style = ("ok", None) if finding.passed else ("FAIL", "bold red")
        table.add_row(mark, finding.subject, finding.measured, finding.allowed, style=style)
    return table
