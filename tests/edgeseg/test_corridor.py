"""Person in path: polygons are checked, areas are areas, and events depend on time and not on how many frames came."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from edgeseg import Frame, Segmentation, Segmenter, TemporalFusion
from edgeseg.corridor import (
    MAX_GAP_NS,
    Change,
    Corridor,
    PathConfig,
    PersonInPath,
    Polygon,
    parse_polygon,
    polygon_area,
)

CARPARK = Path(__file__).parents[1] / "data" / "carpark" / "carpark.mp4"
PERSON = 3
WHOLE: Polygon = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0))
CONFIG = PathConfig(corridor=WHOLE, begin_area=0.2, begin_after="500ms", end_area=0.1, end_after="1s")  # type: ignore[arg-type]


@st.composite
def round_polygons(draw: st.DrawFn) -> Polygon:
    """Polygons around a middle, as their corners' angles grow: they never cross themselves, and need not be convex."""
    count = draw(st.integers(3, 12))
    # No two neighbours half a turn apart, or the middle would lie outside.
    steps = [draw(st.floats(0.6, 1.0)) for _ in range(count)]
    angles = np.cumsum(steps) / sum(steps) * 2 * math.pi
    radii = [draw(st.floats(0.1, 0.45)) for _ in range(count)]
    return tuple((0.5 + r * math.cos(a), 0.5 + r * math.sin(a)) for a, r in zip(angles, radii, strict=True))


def perimeter(points: Polygon) -> float:
    return sum(math.dist(a, b) for a, b in pairwise((*points, points[0])))


def seen(area: float, at_s: float, size_hw: tuple[int, int] = (10, 100)) -> Segmentation:
    """A class map whose first pixels are person, `area` of it."""
    class_ids = np.zeros(size_hw, np.uint8)
    class_ids.ravel()[: round(area * class_ids.size)] = PERSON
    frame = Frame(np.zeros((2, 2, 3), np.uint8), 0, round(at_s * 1e9), "drawn")
    return Segmentation(frame, class_ids, np.full(size_hw, 255, np.uint8))


def play(areas: Sequence[tuple[float, float]], config: PathConfig = CONFIG) -> list[Change]:
    """The changes that (time in seconds, area) cause."""
    watch = PersonInPath(config)
    changes = [watch.update(seen(area, at_s)) for at_s, area in areas]
    return [change for change in changes if change is not None]


@given(round_polygons())
def test_a_sound_polygon_is_taken_as_it_is_and_both_ways_round(points: Polygon) -> None:
    assert parse_polygon([list(point) for point in points]) == points
    assert polygon_area(parse_polygon(points[::-1])) == pytest.approx(polygon_area(points))


@given(round_polygons().filter(lambda points: len(points) > 3), st.data())
def test_a_polygon_that_crosses_itself_is_refused(points: Polygon, data: st.DataObject) -> None:
    """Two neighbouring corners of a polygon around its middle, exchanged, make edges cross or leave a sliver."""
    place = data.draw(st.integers(0, len(points) - 2))
    convex = [(0.5 + 0.4 * (x - 0.5) / math.dist((x, y), (0.5, 0.5)), y) for x, y in points]
    convex = [(x, 0.5 + 0.4 * (y - 0.5) / math.dist(p, (0.5, 0.5))) for (x, y), p in zip(convex, points, strict=True)]
    parse_polygon(convex)
    convex[place], convex[place + 1] = convex[place + 1], convex[place]
    with pytest.raises(ValueError, match="crosses or touches itself"):
        parse_polygon(convex)


@pytest.mark.parametrize(
    ("value", "match"),
    [
        (None, "3 to 64 points"),
        ("0,0 1,1", "3 to 64 points"),
        ([[0, 0], [1, 1]], "3 to 64 points"),
        ([[0, 0]] * 65, "3 to 64 points"),
        ([[0, 0], [1, 0], [1, 1.01]], "point 3"),
        ([[0, 0], [math.nan, 0], [1, 1]], "point 2"),
        ([[True, 0], [1, 0], [1, 1]], "point 1"),
        ([[0, 0, 0], [1, 0], [1, 1]], "point 1"),
        ([[0, 0], ["a", 0], [1, 1]], "point 2"),
        ([[0, 0], [1, 1], [0, 1], [1, 0]], "edge 1 meets edge 3"),
        ([[0, 0], [0, 0], [1, 0], [1, 1]], "edge 1 meets edge 2"),
        ([[0, 0], [1, 0], [0.5, 0], [0.5, 1]], "edge 1 meets edge 2"),
        ([[0, 0], [1, 0], [1, 1], [0.5, 0], [0, 1]], "edge 1 meets edge 3"),
        ([[0.1, 0.1], [0.5, 0.5], [0.9, 0.9]], "touches itself"),
        ([[0.1, 0.1], [0.12, 0.1], [0.1, 0.11]], "covers 0.010%"),
        ([[0.1, 0.1], [0.9, 0.1], [0.9, 0.1005]], "too little"),
    ],
)
def test_what_is_no_area_is_refused(value: object, match: str) -> None:
    with pytest.raises(ValueError, match=match):
        parse_polygon(value)


def test_the_configuration_is_checked_and_has_a_schema() -> None:
    config = PathConfig.model_validate({"corridor": [[0, 1], [0.5, 0], [1, 1]], "begin_after": "2s"})
    assert config.corridor == ((0.0, 1.0), (0.5, 0.0), (1.0, 1.0))
    assert config.begin_after == 2
    assert PathConfig().corridor is None
    with pytest.raises(ValidationError, match="end_area"):
        PathConfig(begin_area=0.1, end_area=0.2)
    with pytest.raises(ValidationError) as caught:
        PathConfig.model_validate({"corridor": [[0, 1], [0.5, 0]]})
    assert caught.value.errors()[0]["loc"] == ("corridor",)
    assert PathConfig.model_json_schema()["properties"]["corridor"]


@given(round_polygons(), st.tuples(st.integers(20, 100), st.integers(20, 140)))
def test_the_weights_of_the_cells_are_the_polygon(points: Polygon, size_hw: tuple[int, int]) -> None:
    weights = Corridor(points).weights(size_hw)
    assert weights.shape == size_hw
    assert float(weights.sum()) == pytest.approx(1, abs=1e-4)
    # Weights are shares of the corridor; the heaviest is a cell wholly inside, so they tell its area.
    area = 1 / float(weights.max()) / weights.size
    assert area == pytest.approx(polygon_area(points), abs=perimeter(points) * 0.25 / min(size_hw) + 0.002)


@given(round_polygons(), st.integers(0, 2**32 - 1))
def test_the_area_lies_between_nobody_and_everybody_and_grows_with_the_person(points: Polygon, seed: int) -> None:
    corridor = Corridor(points)
    generator = np.random.default_rng(seed)
    frame = Frame.of(np.zeros((2, 2, 3), np.uint8))
    confidence = np.zeros((44, 60), np.uint8)
    some = np.where(generator.random((44, 60)) < 0.3, PERSON, 1).astype(np.uint8)
    more = np.where(generator.random((44, 60)) < 0.3, PERSON, some).astype(np.uint8)
    areas = [
        corridor.person_area(Segmentation(frame, ids, confidence))
        for ids in (np.ones_like(some), some, more, np.full_like(some, PERSON))
    ]
    assert areas[0] == 0
    assert areas == sorted(areas)
    assert areas[3] == pytest.approx(1, abs=1e-4)


def test_only_what_lies_inside_counts_whatever_the_size_of_the_map() -> None:
    left_half = Corridor(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
    for height, width in ((88, 120), (48, 80), (11, 7)):
        class_ids = np.zeros((height, width), np.uint8)
        class_ids[:, -(-width // 2) :] = PERSON
        segmentation = Segmentation(Frame.of(np.zeros((2, 2, 3), np.uint8)), class_ids, class_ids)
        assert left_half.person_area(segmentation) == pytest.approx(0, abs=0.01)
        class_ids[: height // 2] = PERSON
        assert left_half.person_area(segmentation) == pytest.approx((height // 2) / height, abs=0.01)


def test_a_model_without_the_class_person_sees_nobody() -> None:
    class_ids = np.full((4, 4), PERSON, np.uint8)
    whole = Segmentation(Frame.of(np.zeros((2, 2, 3), np.uint8)), class_ids, class_ids)
    without = Segmentation(whole.frame, class_ids, class_ids, classes=whole.classes[:3])
    assert Corridor(WHOLE).person_area(whole) == 1
    assert Corridor(WHOLE).person_area(without) == 0


def at_rate(areas: Callable[[float], float], fps: float, until_s: float) -> list[tuple[float, float]]:
    return [(index / fps, areas(index / fps)) for index in range(round(until_s * fps))]


def test_an_event_begins_and_ends_once_its_time_is_up() -> None:
    begin, end = play(at_rate(lambda at_s: 0.3 + 0.1 * (at_s > 2) if 1 <= at_s < 3 else 0.0, 20, 6))
    assert (begin.kind, end.kind) == ("begin", "end")
    assert begin.began_ns == end.began_ns == 1_000_000_000
    assert begin.at_ns == 1_500_000_000
    assert end.at_ns == 2_950_000_000
    assert end.duration_s == pytest.approx(1.95)
    assert (begin.peak_area, end.peak_area) == (pytest.approx(0.3), pytest.approx(0.4))
    assert end.reason == "the path is clear"
    assert "30.0%" in begin.text
    assert "1.9" in end.text
    assert end.details() == {
        "change": "end",
        "began_s": 1.0,
        "at_s": 2.95,
        "duration_s": pytest.approx(1.95),
        "peak_area_ratio": 0.4,
        "reason": "the path is clear",
    }
    assert "reason" not in begin.details()


def test_between_the_thresholds_nothing_changes() -> None:
    assert play(at_rate(lambda _: 0.15, 20, 10)) == []
    changes = play(at_rate(lambda at_s: 0.3 if at_s < 1 else 0.15, 20, 10))
    assert [change.kind for change in changes] == ["begin"]


def test_a_glimpse_and_a_short_absence_are_nothing() -> None:
    assert play(at_rate(lambda at_s: 0.5 if 1 <= at_s < 1.4 else 0.0, 20, 5)) == []
    changes = play(at_rate(lambda at_s: 0.0 if 2 <= at_s < 2.8 else 0.5, 20, 5))
    assert [change.kind for change in changes] == ["begin"]


def test_a_person_that_every_third_picture_misses_is_there() -> None:
    changes = play([(index / 20, 0.0 if index % 3 == 2 else 0.5) for index in range(100)])
    assert [change.kind for change in changes] == ["begin"]
    assert changes[0].began_ns == 0


def test_a_gap_and_a_step_back_end_an_event_and_say_so() -> None:
    present = at_rate(lambda _: 0.5, 20, 2)
    late = [(at_s + 4, area) for at_s, area in present]
    changes = play(present + late)
    assert [change.kind for change in changes] == ["begin", "end", "begin"]
    assert changes[1].reason == "no pictures for 2.0 s"
    assert changes[1].at_ns == 1_950_000_000
    assert changes[2].began_ns == 4_000_000_000
    changes = play(present + present)
    assert [change.kind for change in changes] == ["begin", "end", "begin"]
    assert changes[1].reason == "the pictures began anew"
    assert len(play(present + [(at_s + 1.9 + MAX_GAP_NS / 1e9, area) for at_s, area in present])) == 1


def test_whoever_loses_the_camera_ends_the_event() -> None:
    watch = PersonInPath(CONFIG)
    assert watch.end("the camera was lost") is None
    for index in range(20):
        watch.update(seen(0.5, index / 20))
    assert watch.begun
    assert watch.area == pytest.approx(0.5)
    ended = watch.end("the camera was lost")
    assert ended is not None
    assert (ended.kind, ended.reason, ended.at_ns) == ("end", "the camera was lost", 950_000_000)
    assert not watch.begun
    assert watch.area == 0
    assert watch.end("the camera was lost") is None


def test_without_a_corridor_nothing_is_watched() -> None:
    watch = PersonInPath()
    assert [watch.update(seen(1.0, index / 20)) for index in range(100)] == [None] * 100


@given(
    st.lists(
        st.tuples(st.floats(0, 0.7), st.sampled_from([0.0, 0.05, 0.15, 0.25, 1.0]), st.integers(1, 20)), max_size=30
    )
)
def test_whatever_comes_events_begin_and_end_in_turn_and_keep_their_promises(
    runs: list[tuple[float, float, int]],
) -> None:
    pictures, at_s = [], 0.0
    for step_s, area, count in runs:
        for _ in range(count):
            at_s += step_s
            pictures.append((at_s, area))
    changes = play(pictures)
    assert all(a.kind != b.kind for a, b in pairwise(changes))
    for change in changes:
        if change.kind == "begin":
            assert change.at_ns - change.began_ns >= 0.5e9 - 1000
        else:
            assert change.reason
        assert change.began_ns <= change.at_ns
        assert 0.2 <= change.peak_area <= 1
        inside = [area for at, area in pictures if change.began_ns <= round(at * 1e9) <= change.at_ns]
        assert change.peak_area == pytest.approx(max(inside), abs=1e-3)
    for begin, end in pairwise(changes):
        if begin.kind == "begin":
            assert end.began_ns == begin.began_ns


@settings(max_examples=40)
@given(
    st.lists(st.tuples(st.booleans(), st.floats(1.6, 4.0), st.floats(0.05, 0.25)), min_size=1, max_size=6),
    st.lists(st.integers(1, 3), min_size=300, max_size=300),
)
def test_dropped_frames_change_no_event_by_more_than_they_last(
    stays: list[tuple[bool, float, float]], steps: list[int]
) -> None:
    """Stays and absences that are clearly long or clearly short, at 25 a second, whole and with one or two of three
    frames missing."""
    borders, at_s = [], 0.0
    for flip, long_s, short_s in stays:
        at_s += long_s
        borders.append(at_s)
        if flip:  # a glimpse or a short absence, which must not count
            at_s += short_s
            borders.append(at_s)

    def area(now_s: float) -> float:
        return 0.5 if sum(border <= now_s for border in borders) % 2 else 0.0

    whole = at_rate(area, 25, at_s + 4)
    places = np.cumsum(steps)
    thinned = [whole[place] for place in places if place < len(whole)]
    for one, other in zip(play(whole), play(thinned), strict=True):
        assert one.kind == other.kind
        assert abs(one.began_ns - other.began_ns) <= 3 * 40_000_000
        # What a dip costs the counter is a few frames as well.
        assert abs(one.at_ns - other.at_ns) <= 9 * 40_000_000
        assert one.peak_area == other.peak_area


def walk(corridor: Polygon, step: int = 1, offset: int = 0) -> list[Change]:
    """The changes that the car park's people cause, segmented as the device does it, with frames missing."""
    capture, fusion = cv2.VideoCapture(str(CARPARK)), TemporalFusion()
    watch = PersonInPath(PathConfig(corridor=corridor))
    changes = []
    with Segmenter() as segmenter:
        for index in range(10_000):
            ok, image = capture.read()
            if not ok:
                break
            if index % step == offset:
                frame = Frame(image, index, round(index * 1e9 / 12), "carpark")
                changes.append(watch.update(segmenter.segment(frame, fusion)))
    return [change for change in changes if change is not None]


@pytest.mark.parametrize(("step", "offset"), [(1, 0), (2, 1), (3, 0), (3, 2)])
def test_a_real_person_is_in_the_path_whatever_frames_are_missing(step: int, offset: int) -> None:
    corridor = parse_polygon([[0.3, 0], [0.5, 0], [0.5, 0.25], [0.3, 0.25]])
    begin, end = walk(corridor, step, offset)
    # Looked at: the walker's leading foot enters at frame 52, the heel leaves at frame 86. From above and at that size
    # the model sees him now and then only.
    assert 52 <= begin.began_ns * 12 / 1e9 <= 64
    assert 66 <= end.at_ns * 12 / 1e9 <= 86
    assert (begin.kind, end.kind, end.reason) == ("begin", "end", "the path is clear")
