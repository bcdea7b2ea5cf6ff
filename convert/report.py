"""The conversion's page: one HTML file with nothing outside it."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from convert.diagram import draw_reliability
from convert.gate import Finding
from convert.graph import GraphOp
from convert.verify import Comparison, Shown
from edgeseg.classes import IGNORE_INDEX, SegmentClass
from edgeseg.errors import SinkUnavailableError, explain
from edgeseg.evaluate import Evaluation
from edgeseg.frame import Frame, Segmentation
from edgeseg.model_card import ModelCard
from edgeseg.overlay import draw_overlay

PICTURE_WIDTH = 480

_STYLE = """
:root { color-scheme: light dark; --line: #8884; --bad: #d33; --good: #2a2; }
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; }
h2 { font-size: 1.1rem; margin-top: 2rem; }
table { border-collapse: collapse; }
th, td { padding: .25rem .8rem; border-bottom: 1px solid var(--line); text-align: left; }
td { font-variant-numeric: tabular-nums; }
.fail { color: var(--bad); font-weight: 600; }
.pass { color: var(--good); font-weight: 600; }
.wide { overflow-x: auto; }
.pictures { display: grid; grid-template-columns: repeat(3, 1fr); gap: .4rem; }
.pictures img { width: 100%; display: block; }
.key { display: inline-block; width: .9em; height: .9em; margin: 0 .3em 0 1em; vertical-align: -.1em; }
"""

_NOT_RUN = "<p>Neither quality nor speed was measured: a graph with a custom op cannot be loaded.</p>"


def write_report(
    path: Path,
    card: ModelCard,
    ops: Sequence[GraphOp],
    findings: Sequence[Finding],
    comparisons: Sequence[Comparison],
    sizes: tuple[int, int],
) -> None:
    """Writes the page of an INT8 model (`card`, `ops`) beside its float one, and beside the page its diagram.

    comparisons: by data set; none when the gate failed on the graph alone, which nothing then ran. sizes: bytes of the
    float32 and the INT8 file. Raises SinkUnavailableError when the page cannot be written.
    """
    diagram = _draw_diagram(comparisons) if comparisons else b""
    failed = sum(not finding.passed for finding in findings)
    title = escape(f"{card.name} {card.input_hw[1]}x{card.input_hw[0]}")
    verdict = f'<span class="{"fail" if failed else "pass"}">{"fails" if failed else "passes"} the gate</span>'
    origin = "; ".join(f"{item.name} ({item.images} pictures, {item.licence})" for item in card.trained_on)
    sections = [
        f"<h1>{title}: {verdict}</h1>",
        f"<p>{escape(card.design)}, {card.params:,} parameters. Licence: {escape(card.licence or 'not stated')}. "
        f"Trained on: {escape(origin or 'not stated')}.</p>",
        "<h2>The gate</h2>",
        _tabulate(["", "checked", "measured", "allowed"], (_show_finding(finding) for finding in findings)),
        *(line for item in comparisons for line in _show_comparison(item, card.segment_classes)),
        *(_show_scaling(card, diagram) if comparisons else [_NOT_RUN]),
        "<h2>Cost on the machine that converted</h2>",
        _tabulate(["", "float32", "INT8"], _list_cost(comparisons, sizes)),
        f"<h2>The {len(ops)} ops of the INT8 graph</h2>",
        _tabulate(["", "op", "output", "runs on"], (_show_op(op) for op in ops)),
    ]
    page = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(sections) + "\n</body></html>\n"
    )
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, encoding="utf-8")
        if diagram:
            name_diagram(path).write_bytes(diagram)
    except OSError as error:
        raise SinkUnavailableError(
            f"{path}: cannot write the report: {explain(error)}; choose another place"
        ) from error


def name_diagram(page: Path) -> Path:
    """Where the reliability diagram of a page lies as a file of its own: beside it."""
    return page.with_name(f"{page.stem}-reliability.png")


def _show_comparison(comparison: Comparison, classes: tuple[SegmentClass, ...]) -> list[str]:
    before, after = comparison.before, comparison.after
    return [
        f"<h2>Quality on {escape(after.dataset)}, {after.images} pictures</h2>",
        _tabulate(["", "float32", "INT8", "points"], _list_quality(before, after)),
        f"<p>Both models agree on {100 * comparison.agreement:.2f} % of the labelled pixels.</p>",
        _tabulate(["what scaling the scores changes", "float32", "INT8"], _list_errors(comparison)),
        f"<p>{_draw_key(classes)}</p>",
        '<div class="pictures"><b>true</b><b>float32</b><b>INT8</b>',
        *(_embed_row(shown, classes) for shown in comparison.shown),
        "</div>",
    ]


def _show_scaling(card: ModelCard, diagram: bytes) -> list[str]:
    offsets = ", ".join(f"{value:+.2f} {name}" for name, value in zip(card.class_names, card.offsets, strict=False))
    added = f", then shifted: {offsets}" if offsets else ""
    return [
        "<h2>Confidence</h2>",
        f"<p>In the last layer the scores were divided by {card.temperature:g}{escape(added)}, as the pictures above "
        "asked. The expected calibration error is the mean gap between confidence and share of right pixels.</p>",
        f'<p><img alt="reliability diagram" src="data:image/png;base64,{base64.b64encode(diagram).decode()}"></p>',
    ]


def _draw_diagram(comparisons: Sequence[Comparison]) -> bytes:
    """The INT8 model's reliability on each data set, below each other, as a PNG."""
    drawn = [
        draw_reliability(item.after.dataset, item.int8_confidence.before, item.int8_confidence.after)
        for item in comparisons
    ]
    return cv2.imencode(".png", np.vstack(drawn))[1].tobytes()


def _tabulate(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; the cells of `rows` are HTML."""
    lines = [
        "".join(f"<th>{cell}</th>" for cell in head),
        *("".join(f"<td>{cell}</td>" for cell in row) for row in rows),
    ]
    return '<div class="wide"><table>' + "".join(f"<tr>{line}</tr>" for line in lines) + "</table></div>"


def _show_finding(finding: Finding) -> list[str]:
    mark = '<span class="pass">ok</span>' if finding.passed else '<span class="fail">FAIL</span>'
    return [mark, escape(finding.subject), escape(finding.measured), escape(finding.allowed)]


def _show_op(op: GraphOp) -> list[str]:
    where = "XNNPACK" if op.delegated else '<span class="fail">elsewhere</span>'
    return [str(op.index), escape(op.name), "x".join(map(str, op.output_shape)), where]


def _list_quality(before: Evaluation, after: Evaluation) -> list[list[str]]:
    figures = [(f"IoU {name}", value, after.iou[name]) for name, value in before.iou.items()]
    figures += [
        ("mean IoU", before.mean_iou, after.mean_iou),
        (f"mean IoU of {', '.join(before.confusion.names[1:])}", before.mean_iou_foreground, after.mean_iou_foreground),
        ("pixels right", before.pixel_accuracy, after.pixel_accuracy),
    ]

    def show(value: float, form: str) -> str:
        return "–" if math.isnan(value) else format(value, form)

    return [
        [escape(name), show(old, ".4f"), show(new, ".4f"), show(100 * (new - old), "+.2f")]
        for name, old, new in figures
    ]


def _list_errors(comparison: Comparison) -> list[list[str]]:
    both = comparison.float_confidence, comparison.int8_confidence

    def show(ratio: float) -> str:
        return "–" if math.isnan(ratio) else f"{100 * ratio:.2f} %"

    scaled = comparison.before.mean_iou_foreground, comparison.after.mean_iou_foreground
    return [
        ["calibration error as trained", *(show(item.before.error()) for item in both)],
        ["calibration error scaled", *(show(item.after.error()) for item in both)],
        ["mean IoU of the foreground as trained", *(show(item.as_trained.mean_iou_foreground()) for item in both)],
        ["mean IoU of the foreground scaled", *(show(value) for value in scaled)],
    ]


def _list_cost(comparisons: Sequence[Comparison], sizes: tuple[int, int]) -> list[list[str]]:
    rows = [["file, bytes", *(f"{size:,}" for size in sizes)]]
    if not comparisons:
        return rows
    timing = comparisons[0].timing
    return [
        *rows,
        ["inference, one thread, median ms", f"{timing.reference.p50_ms:.2f}", f"{timing.model.p50_ms:.2f}"],
        ["inference, one thread, 95th percentile ms", f"{timing.reference.p95_ms:.2f}", f"{timing.model.p95_ms:.2f}"],
    ]


def _draw_key(classes: Sequence[SegmentClass]) -> str:
    return "".join(
        f'<span class="key" style="background: rgb{item.color_rgb}"></span>{escape(item.name)}' for item in classes[1:]
    )


def _embed_row(shown: Shown, classes: tuple[SegmentClass, ...]) -> str:
    truth = np.where(shown.truth == IGNORE_INDEX, 0, shown.truth).astype(np.uint8)
    return "".join(
        f'<img alt="{name}" src="data:image/jpeg;base64,{_encode(shown.image, class_ids, classes)}">'
        for name, class_ids in (("true classes", truth), ("float32", shown.float_ids), ("INT8", shown.int8_ids))
    )


def _encode(image: NDArray[np.uint8], class_ids: NDArray[np.uint8], classes: tuple[SegmentClass, ...]) -> str:
    segmentation = Segmentation(Frame.of(image), class_ids, np.full_like(class_ids, 255), {}, classes)
    drawn = draw_overlay(image, segmentation)
    height = max(1, round(PICTURE_WIDTH * drawn.shape[0] / drawn.shape[1]))
    small = cv2.resize(drawn, (PICTURE_WIDTH, height), interpolation=cv2.INTER_AREA)
    return base64.b64encode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 85])[1].tobytes()).decode()
