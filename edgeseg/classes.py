"""What the product tells apart, and the one palette of the project."""

from __future__ import annotations

from typing import NamedTuple

#: The label value of pixels that neither training nor evaluation looks at.
IGNORE_INDEX = 255


class SegmentClass(NamedTuple):
    """One class a model scores: its name and the colour (RGB, 0..255) it is drawn in."""

    name: str
    color_rgb: tuple[int, int, int]

    @property
    def color_hex(self) -> str:
        """The colour as #rrggbb."""
        return "#{:02x}{:02x}{:02x}".format(*self.color_rgb)


#: The classes of the bundled model; a class's index is its place here. The colours stay apart for red-green colour
#: blindness (they differ in lightness too) and on asphalt, sky and foliage.
CLASSES: tuple[SegmentClass, ...] = (
    SegmentClass("other", (0, 0, 0)),
    SegmentClass("road", (38, 190, 120)),
    SegmentClass("vehicle", (45, 120, 255)),
    SegmentClass("person", (255, 150, 20)),
)

CLASS_NAMES: tuple[str, ...] = tuple(item.name for item in CLASSES)
