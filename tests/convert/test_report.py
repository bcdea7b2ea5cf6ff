from __future__ import annotations

import base64
import re
from html.parser import HTMLParser
from pathlib import Path

import cv2
import numpy as np
import pytest

from convert.gate import judge_loss, judge_ops
from convert.graph import GraphOp
from convert.report import write_report
from convert.verify import Comparison, Confidence, Shown
from edgeseg.benchmark import Comparison as Timings
from edgeseg.benchmark import Timing
from edgeseg.errors import SinkUnavailableError
from edgeseg.evaluate import Evaluation
from edgeseg.iou import ConfusionMatrix
from edgeseg.model_card import ModelCard, TrainingSet
from edgeseg.scaling import Scaling

OPS = [GraphOp(0, "CONV_2D", (1, 16, 24, 4), True, True), GraphOp(1, "HARD_SWISH", (1, 16, 24, 4), True, False)]


def _evaluation(wrong: int) -> Evaluation:
    """100 pixels each of other and road, of which `wrong` road pixels were missed; nothing else occurs."""
    counts = ConfusionMatrix()
    counts.counts[0, 0], counts.counts[1, 1], counts.counts[1, 0] = 100, 100 - wrong, wrong
    return Evaluation("drawn <val>", "edgeseg", "test", 7, counts)


def _confidence() -> Confidence:
    """Scores whose halves were nearly sure and wrong every fourth time: with the temperature they are less wrong."""
    confidence = Confidence(Scaling(2.0, (0.0, 0.0, 0.0, 0.0)))
    scores = np.zeros((20, 20, 4), np.float32)
    scores[..., 1] = 2.5
    truth = np.where(np.arange(400).reshape(20, 20) % 4, 1, 0).astype(np.uint8)
    confidence.update(scores, truth)
    return confidence


@pytest.fixture
def page(tmp_path: Path) -> str:
    ids = np.ones((30, 40), np.uint8)
    shown = Shown(np.full((30, 40, 3), 90, np.uint8), np.where(np.eye(30, 40), 255, ids).astype(np.uint8), ids, ids)
    timing = Timings("float", Timing(2.4, 2.5, 3.0), Timing(4.9, 5.0, 6.0), 0.5, 0.4, 0.6)
    before, after = _evaluation(10), _evaluation(30)
    card = ModelCard(
        name="test",
        input_hw=(64, 96),
        licence="<b>free</b>",
        temperature=2.0,
        offsets=(0.0, 0.0, 0.0, -1.5),
        trained_on=[TrainingSet(name="a&b", licence="x", images=3)],
    )
    findings = judge_ops(OPS) + judge_loss(before.iou, after.iou)
    path = tmp_path / "deep" / "report.html"
    comparison = Comparison(before, after, 0.875, timing, (shown,), _confidence(), _confidence())
    write_report(path, card, OPS, findings, [comparison], (2_000_000, 500_000))
    return path.read_text(encoding="utf-8")


def test_page_holds_every_figure(page: str) -> None:
    text = re.sub(r"<[^>]+>", "|", page)
    for figure in (
        "0.9000",
        "0.7000",
        "-20.00",
        "87.50 %",
        "2,000,000",
        "500,000",
        "2.50",
        "5.00",
        "HARD_SWISH",
        "elsewhere",
    ):
        assert figure in text, figure
    assert "test 96x64: |fails the gate" in text
    assert "not judged" in text
    # exp(2.5) against three times 1: 80.2 % sure, of 75 % right; without the temperature, 98.0 %.
    assert "|calibration error as trained|" in text
    assert "|23.02 %|" in text
    assert "|5.24 %|" in text
    assert "divided by 2, then shifted: +0.00 other, +0.00 road, +0.00 vehicle, -1.50 person, as the" in text


def test_diagram_lies_in_the_page_and_beside_it(page: str, tmp_path: Path) -> None:
    (data,) = re.findall(r"data:image/png;base64,([^\"]+)", page)
    diagram = (tmp_path / "deep" / "report-reliability.png").read_bytes()
    assert base64.b64decode(data) == diagram
    assert cv2.imdecode(np.frombuffer(diagram, np.uint8), cv2.IMREAD_COLOR).shape[2] == 3


def test_page_needs_nothing_outside_itself(page: str) -> None:
    links: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            links.extend(value or "" for name, value in attrs if name in {"src", "href"})

    Links().feed(page)
    assert len(links) == 4
    assert links.pop().startswith("data:image/png;base64,")
    for link in links:
        head, data = link.split(",")
        assert head == "data:image/jpeg;base64"
        assert cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR).shape == (360, 480, 3)


def test_what_the_card_says_is_text_not_markup(page: str) -> None:
    assert "&lt;b&gt;free&lt;/b&gt;" in page
    assert "a&amp;b" in page
    assert "drawn &lt;val&gt;" in page


def test_place_that_cannot_be_written_is_named(tmp_path: Path, page: str) -> None:
    (tmp_path / "file").write_text("")
    timing = Timings("float", Timing(1, 1, 1), Timing(1, 1, 1), 1, 1, 1)
    comparison = Comparison(_evaluation(0), _evaluation(0), 1.0, timing, (), _confidence(), _confidence())
    with pytest.raises(SinkUnavailableError, match="cannot write the report"):
        write_report(tmp_path / "file" / "r.html", ModelCard(name="t", input_hw=(64, 96)), [], [], [comparison], (1, 1))


def test_gate_that_failed_on_the_graph_alone_has_its_page_too(tmp_path: Path) -> None:
    ops = [*OPS, GraphOp(2, "FlexErf", (1, 16, 24, 4), False, False)]
    path = tmp_path / "report.html"
    write_report(path, ModelCard(name="test", input_hw=(64, 96)), ops, judge_ops(ops), (), (2_000_000, 500_000))
    text = re.sub(r"<[^>]+>", "|", path.read_text(encoding="utf-8"))
    for said in ("test 96x64: |fails the gate", "FlexErf", "custom op", "2,000,000", "was measured"):
        assert said in text, said
