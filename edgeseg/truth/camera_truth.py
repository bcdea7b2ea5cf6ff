"""CameraTruth: says when a camera gives pictures that tell nothing, and what is wrong with them.

A disconnect is something else: then no pictures come at all, and the source says so. Here they come, and are frozen,
black, overexposed, covered or blurred.
"""

from __future__ import annotations

from collections import Counter
from typing import Literal

from edgeseg.fields import Duration, Part
from edgeseg.frame import Frame
from edgeseg.truth.signs import Signs, read_signs, shrink
from edgeseg.truth.stillness import Stillness

Condition = Literal["ok", "frozen", "black", "overexposed", "covered", "blurred"]

#: A picture is looked at this often at most, in nanoseconds: five times a second, and a little early is on time.
LOOK_EVERY_NS = 190_000_000
#: A pause in the stream after which nothing that began before it goes on.
MAX_GAP_NS = 2_000_000_000
#: How much longer it takes to call pictures frozen that an encoder keeps touching up. A camera waiting at a red light
#: or in an empty yard may look just so, and something moves there sooner or later.
TOUCHED_UP_FACTOR = 9
#: The hysteresis: what is wrong is held on to until it is this much better than what it took to say it.
_EASED = 1.3


class TruthConfig(Part):
    """Whether a camera's pictures are judged, and how long something must last before it is said."""

    enabled: bool = True
    after: Duration = 3.0
    ok_after: Duration = 2.0
    frozen_after: Duration = 20.0


class CameraTruth:
    """Judges the pictures of one camera by their own times. Not for two threads at once."""

    def __init__(self, config: TruthConfig | None = None) -> None:
        self.config = config or TruthConfig()
        self.condition: Condition = "ok"
        self._stillness = Stillness()
        self._last_ns: int | None = None
        self._looked_ns = 0
        self._away_since_ns: int | None = None
        self._away: Counter[Condition] = Counter()

    def look(self, frame: Frame) -> Condition:
        """Returns what is wrong with the pictures, "ok" if nothing is, for every picture of the stream in turn."""
        if not self.config.enabled:
            return "ok"
        now_ns, last_ns = frame.captured_ns, self._last_ns
        self._last_ns = now_ns
        if last_ns is None or not 0 <= now_ns - last_ns <= MAX_GAP_NS:
            self._stillness.reset()
            self._away_since_ns = None
        elif now_ns - self._looked_ns < LOOK_EVERY_NS:
            return self.condition
        self._looked_ns = now_ns
        self._weigh(self._see(frame, now_ns), now_ns)
        return self.condition

    def _see(self, frame: Frame, now_ns: int) -> Condition:
        """What this picture shows, easier on the condition that holds already."""
        small = shrink(frame.image)
        signs = read_signs(small)
        same_s, still_s = self._stillness.update(small, signs.blocks, now_ns)
        unseen = see_nothing(signs, self.condition)
        if unseen is not None and unseen != "blurred":
            return unseen
        frozen_after = self.config.frozen_after
        if same_s >= frozen_after or still_s >= frozen_after * TOUCHED_UP_FACTOR:
            return "frozen"
        if self.condition == "frozen" and self._stillness.repeated:
            return "frozen"
        return unseen or "ok"

    def _weigh(self, seen: Condition, now_ns: int) -> None:
        """Changes the condition once it has not been seen for long enough, to what was seen most instead."""
        if seen == self.condition:
            self._away_since_ns = None
            return
        if self._away_since_ns is None:
            self._away_since_ns = now_ns
            self._away.clear()
        self._away[seen] += 1
        # Whichever is seen now wins a tie.
        most = max(self._away, key=lambda condition: (self._away[condition], condition == seen))
        # That they froze has taken its time already.
        needed_s = {"ok": self.config.ok_after, "frozen": 0.0}.get(most, self.config.after)
        if now_ns - self._away_since_ns >= needed_s * 1e9:
            self.condition = most
            self._away_since_ns = None


def see_nothing(signs: Signs, held: Condition = "ok") -> Condition | None:
    """Says why a picture shows nothing of the world, None when it does; easier on what is `held` already.

    Each threshold lies between what 4,846 street pictures and eight clips gave, darkened, fogged, rained upon and
    compressed too, and what pictures give that show nothing (benchmarks/camera_truth.py):
    - black: nothing brighter than grey level 24, the lights of a dark street included; video black is 16.
    - overexposed: half of the picture blown out; white skies took up to 39 %.
    - blurred: edges wider than 0.42 % of the picture, and next to none (3 %) that are sharp; good cameras have edges of
      0.13 to 0.26 % and sharp ones over 18 % of the picture, 5 % at night. Blurred by 0.42 % the bundled model's IoU of
      vehicles is 0.72 instead of 0.85 on CamVid val, by 0.52 % it is 0.55.
    - covered: structure near less than 10 % of the picture; an empty car park has it in 26 %, a road in thick fog or in
      nothing but headlights in 20 % and more. What is covered by less than about nine tenths is therefore not told.
    """

    def eased(condition: Condition) -> float:
        return _EASED if held == condition else 1.0

    if signs.bright < 24 * eased("black"):
        return "black"
    if signs.clipped > 0.5 / eased("overexposed"):
        return "overexposed"
    ease = eased("blurred")
    # Soft shades have wide edges too; what is out of focus keeps its structure, a size larger.
    structured = signs.edges > 0.08 / ease and signs.coarse > 0.2 / ease
    if structured and signs.width > 0.42 / ease and signs.sharp < 0.03 * ease:
        return "blurred"
    if signs.detail < 0.1 * eased("covered"):
        return "covered"
    return None
