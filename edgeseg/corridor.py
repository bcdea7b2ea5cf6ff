"""Person in path: people inside a corridor of the picture, as events that begin and end.

    person_in_path:
      corridor: [[0.2, 1], [0.44, 0.55], [0.56, 0.55], [0.8, 1]]   # x, y from the upper left corner, 0..1
      begin_area: 0.01
      begin_after: 500ms
      end_area: 0.005
      end_after: 1s

Everything goes by the pictures' own times and nothing by their number, so a live run that drops frames and an offline
one that sees them all tell the same events, to within a frame or two.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import Annotated, Any, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import Field, PlainSerializer, PlainValidator, WithJsonSchema, model_validator

from edgeseg.fields import Duration, Part
from edgeseg.frame import Segmentation

Point = tuple[float, float]
Polygon = tuple[Point, ...]

#: A pause of the stream, or a step back in time, that ends an event: nobody knows what happened meanwhile.
MAX_GAP_NS = 2_000_000_000
#: What a polygon must cover of the picture: about five cells of the smallest class map.
MIN_AREA = 0.001
MAX_POINTS = 64
#: Each cell of the class map is split into this many rows and columns to find how much of it lies in the corridor.
_SPLIT = 8
#: cv2.fillPoly takes coordinates in 1/16 pixels.
_SHIFT = 4


def parse_polygon(value: object) -> Polygon:
    """Returns the polygon that `[[x, y], ...]` means, x and y in 0..1 from the upper left corner of the picture.

    Raises ValueError, whose message follows what was written: for fewer than 3 points or too many, for one outside of
    the picture, for edges that cross or touch, for next to no area.
    """
    if not isinstance(value, (list, tuple)) or not 3 <= len(value) <= MAX_POINTS:
        raise ValueError(f"is no polygon; write 3 to {MAX_POINTS} points such as [[0.2, 1], [0.5, 0.5], [0.8, 1]]")
    points = tuple(_parse_point(item, number) for number, item in enumerate(value, 1))
    for (first, edge), (second, other) in combinations(enumerate(_edges(points), 1), 2):
        if _collide(edge, other, shared=(second - first) in (1, len(points) - 1)):
            raise ValueError(f"crosses or touches itself: edge {first} meets edge {second}; go around the area once")
    area = polygon_area(points)
    if area < MIN_AREA:
        raise ValueError(f"covers {area:.3%} of the picture, too little to see anything in; make it larger")
    return points


def _parse_point(item: object, number: int) -> Point:
    if isinstance(item, (list, tuple)) and len(item) == 2:
        x, y = item
        # Not a comparison alone: YAML reads `yes` as a number to Python, and nan compares false.
        if all(isinstance(part, (int, float)) and not isinstance(part, bool) and 0 <= part <= 1 for part in item):
            return float(x), float(y)
    raise ValueError(f"is no polygon: point {number} must be [x, y] with x and y from 0 to 1")


def polygon_area(points: Polygon) -> float:
    """Returns the share of the picture, 0..1, inside a polygon that does not cross itself (the shoelace formula)."""
    return abs(sum(_cross(start, end) for start, end in _edges(points))) / 2


def _edges(points: Polygon) -> list[tuple[Point, Point]]:
    return list(zip(points, (*points[1:], points[0]), strict=True))


def _cross(a: Point, b: Point) -> float:
    return a[0] * b[1] - a[1] * b[0]


def _turn(a: Point, b: Point, c: Point) -> float:
    """Positive, negative or zero as a, b, c turn one way, the other or lie in line."""
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _collide(edge: tuple[Point, Point], other: tuple[Point, Point], *, shared: bool) -> bool:
    """Whether two edges have a point in common, besides the corner that neighbours (`shared`) have."""
    (a, b), (c, d) = edge, other
    if a == b or c == d:
        return True
    if shared:
        # Neighbours collide when one folds back onto the other; a triangle's edges are all neighbours.
        corner, end, far = (b, a, d) if b == c else (a, b, c)
        along = (end[0] - corner[0]) * (far[0] - corner[0]) + (end[1] - corner[1]) * (far[1] - corner[1])
        return _turn(end, corner, far) == 0 and along > 0
    turns = (_turn(a, b, c), _turn(a, b, d), _turn(c, d, a), _turn(c, d, b))
    if turns[0] * turns[1] < 0 and turns[2] * turns[3] < 0:
        return True
    return any(
        turn == 0 and _within(point, span)
        for turn, point, span in zip(turns, (c, d, a, b), (edge, edge, other, other), strict=True)
    )


def _within(point: Point, span: tuple[Point, Point]) -> bool:
    (ax, ay), (bx, by) = span
    return min(ax, bx) <= point[0] <= max(ax, bx) and min(ay, by) <= point[1] <= max(ay, by)


Share = Annotated[float, Field(gt=0, le=1)]
Outline = Annotated[
    Polygon,
    PlainValidator(parse_polygon),
    PlainSerializer(lambda points: [list(point) for point in points], return_type=list[list[float]], when_used="json"),
    WithJsonSchema(
        {
            "type": "array",
            "minItems": 3,
            "maxItems": MAX_POINTS,
            "items": {
                "type": "array",
                "minItems": 2,
                "maxItems": 2,
                "items": {"type": "number", "minimum": 0, "maximum": 1},
            },
        }
    ),
]


class PathConfig(Part):
    """Which part of the picture is the path, and how much person for how long is an event; areas are shares of it."""

    corridor: Outline | None = None
    begin_area: Share = 0.01
    begin_after: Duration = 0.5
    end_area: Share = 0.005
    end_after: Duration = 1.0

    @model_validator(mode="after")
    def _check(self) -> PathConfig:
        if self.end_area > self.begin_area:
            raise ValueError(f"end_area {self.end_area} must not be above begin_area {self.begin_area}")
        return self


class Corridor:
    """A polygon laid over class maps; rasterised when a map of a new size comes, and kept."""

    def __init__(self, polygon: Polygon) -> None:
        """`polygon` as `parse_polygon` returns it."""
        self.polygon = polygon
        self._weights: NDArray[np.float32] = np.zeros((0, 0), np.float32)

    def weights(self, size_hw: tuple[int, int]) -> NDArray[np.float32]:
        """How much of each cell of a (h, w) class map lies inside, (h, w) float32; the sum is 1."""
        if self._weights.shape != size_hw:
            height, width = size_hw
            fine: NDArray[Any] = np.zeros((height * _SPLIT, width * _SPLIT), np.uint8)
            scale = np.array([width, height], np.float64) * _SPLIT
            # A coordinate names the middle of a pixel to OpenCV, and its edge to us.
            corners = np.round((np.array(self.polygon) * scale - 0.5) * (1 << _SHIFT)).astype(np.int32)
            cv2.fillPoly(fine, [corners], 255, shift=_SHIFT)
            cells = cv2.resize(fine, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32)
            self._weights = cells / cells.sum()
        return self._weights

    def person_area(self, segmentation: Segmentation) -> float:
        """The share of the corridor, 0..1, that person pixels cover."""
        person = next((i for i, item in enumerate(segmentation.classes) if item.name == "person"), None)
        if person is None:
            return 0.0
        weights = self.weights((segmentation.class_ids.shape[0], segmentation.class_ids.shape[1]))
        # The sum of so many rounded numbers may pass 1 by a hair.
        return min(1.0, float(weights[segmentation.class_ids == person].sum()))


@dataclass(frozen=True, slots=True)
class Change:
    """An event has begun or ended.

    began_ns: when the person was first seen. at_ns: when that was long enough ago to say so or, at the end, when
    the person was last seen. peak_area: the largest share of the corridor so far. reason: what ended it, "" at the
    beginning.
    """

    kind: Literal["begin", "end"]
    began_ns: int
    at_ns: int
    peak_area: float
    reason: str = ""

    @property
    def duration_s(self) -> float:
        """Seconds from the beginning of the event until `at_ns`."""
        return (self.at_ns - self.began_ns) / 1e9

    @property
    def text(self) -> str:
        """The change in one line for people."""
        if self.kind == "begin":
            return f"a person is in the path ({self.peak_area:.1%} of it)"
        return f"no person in the path any more after {self.duration_s:.1f} s: {self.reason}"

    def details(self) -> dict[str, Any]:
        """Returns the change as JSON-ready values; times in seconds of the pictures' own clock."""
        return {
            "change": self.kind,
            "began_s": self.began_ns / 1e9,
            "at_s": self.at_ns / 1e9,
            "duration_s": self.duration_s,
            "peak_area_ratio": round(self.peak_area, 4),
            **({"reason": self.reason} if self.reason else {}),
        }


class PersonInPath:
    """Turns the class maps of one camera into events. Not for two threads at once.

    Debounced by a counter of time: it rises while the area is over the threshold, falls while it is under, and what
    lies between a picture over it and a picture under it counts for neither side. So a picture that misses the
    person, or a picture that is itself missing, shifts an event by a frame or two instead of undoing it.
    """

    def __init__(self, config: PathConfig | None = None) -> None:
        self.config = config or PathConfig()
        self.corridor = None if self.config.corridor is None else Corridor(self.config.corridor)
        self._forget()

    def _forget(self) -> None:
        self._begun = False
        self._counted_ns = 0
        self._peak = 0.0
        self._began_ns = self._seen_ns = 0
        self._last: tuple[int, float] | None = None

    @property
    def area(self) -> float:
        """The share of the corridor that person pixels covered in the last picture, 0..1."""
        return self._last[1] if self._last else 0.0

    @property
    def begun(self) -> bool:
        """Whether an event has begun and not ended."""
        return self._begun

    def update(self, segmentation: Segmentation) -> Change | None:
        """Takes the next picture, returns what has changed by it. Does nothing without a corridor."""
        if self.corridor is None:
            return None
        return self.update_area(segmentation.frame.captured_ns, self.corridor.person_area(segmentation))

    def update_area(self, now_ns: int, area: float) -> Change | None:
        """The same for a picture of which only the moment and the area, a share of the corridor, are known."""
        ended: Change | None = None
        if self._last is not None and not 0 <= now_ns - self._last[0] <= MAX_GAP_NS:
            elapsed_s = (now_ns - self._last[0]) / 1e9
            ended = self.end(f"no pictures for {elapsed_s:.1f} s" if elapsed_s > 0 else "the pictures began anew")
        changed = self._count(now_ns, area)
        # The first picture after a gap begins nothing, for that takes time.
        return ended or changed

    def end(self, reason: str) -> Change | None:
        """Ends what has begun, because no more pictures come, and begins anew; returns the end if there was one."""
        ended = self._change("end", self._seen_ns, reason) if self._begun else None
        self._forget()
        return ended

    def _count(self, now_ns: int, area: float) -> Change | None:
        last, self._last = self._last, (now_ns, area)
        threshold = self.config.end_area if self._begun else self.config.begin_area
        over = area >= threshold
        elapsed_ns = now_ns - last[0] if last and (last[1] >= threshold) == over else 0
        self._counted_ns = max(0, self._counted_ns + (elapsed_ns if over != self._begun else -elapsed_ns))
        if self._begun:
            return self._count_until_the_end(now_ns, area, over)
        if over:
            if self._peak == 0.0:
                self._began_ns = now_ns
            self._peak, self._seen_ns = max(self._peak, area), now_ns
            if self._counted_ns >= self.config.begin_after * 1e9:
                self._begun, self._counted_ns = True, 0
                return self._change("begin", now_ns)
        elif self._counted_ns == 0:
            self._peak = 0.0
        return None

    def _count_until_the_end(self, now_ns: int, area: float, over: bool) -> Change | None:
        if over:
            self._peak, self._seen_ns = max(self._peak, area), now_ns
        elif self._counted_ns >= self.config.end_after * 1e9:
            ended = self._change("end", self._seen_ns, "the path is clear")
            self._begun, self._counted_ns, self._peak = False, 0, 0.0
            return ended
        return None

    def _change(self, kind: Literal["begin", "end"], at_ns: int, reason: str = "") -> Change:
        return Change(kind, self._began_ns, at_ns, self._peak, reason)
