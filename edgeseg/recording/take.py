"""Take: the pictures of one segment, on their way from the encoder to the disk."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass

from edgeseg.recording.fragments import ParameterSets, Sample
from edgeseg.sinks.mp4 import TIME_BASE

#: The newest picture waits for the next one this long, in seconds, so that its duration is known; then it is guessed.
HOLD_S = 0.1
#: What a picture that has neither a next nor a last one is taken to last, in ticks.
_USUAL_STEP = round(1 / TIME_BASE / 25)


@dataclass(frozen=True, slots=True)
class Coded:
    """A coded picture, its record as a line, when it was captured (monotonic) and when it came out of the encoder."""

    sample: Sample
    line: bytes
    captured_ns: int
    arrived_s: float


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures in a row, the first of which begins a fragment; `end` is where the last one ends, in ticks."""

    pictures: list[Coded]
    end: int


class Take:
    """What one thread puts in and another takes out. It ends once, and nothing is put into it after that."""

    def __init__(self, size_wh: tuple[int, int], first_ns: int) -> None:
        """`first_ns` is when its first picture was captured, monotonic. `bytes` counts all that was put in."""
        self.size_wh, self.first_ns = size_wh, first_ns
        self.sets: ParameterSets | None = None
        self.bytes = 0
        self._lock = threading.Lock()
        self._waiting: deque[Coded] = deque()
        self._bytes = 0
        self._step = _USUAL_STEP
        self._ended = False

    @property
    def ended(self) -> bool:
        with self._lock:
            return self._ended

    @property
    def waiting_bytes(self) -> int:
        with self._lock:
            return self._bytes

    def put(self, coded: Coded) -> bool:
        """Puts a picture in; False when the take has ended."""
        with self._lock:
            if self._ended:
                return False
            if self._waiting:
                self._step = coded.sample.pts - self._waiting[-1].sample.pts
            self._waiting.append(coded)
            self._bytes += len(coded.sample.data)
            self.bytes += len(coded.sample.data)
            return True

    def end(self) -> None:
        """Ends it; what is in it can still be taken out."""
        with self._lock:
            self._ended = True

    def discard(self) -> int:
        """Ends it and drops what is in it; returns how many pictures that were."""
        with self._lock:
            self._ended = True
            dropped = len(self._waiting)
            self._waiting.clear()
            self._bytes = 0
            return dropped

    def take_out(self, now_s: float) -> list[Batch]:
        """Returns what is to be written now, each keyframe at the front of a batch."""
        with self._lock:
            held = None
            if self._waiting and not self._ended and now_s - self._waiting[-1].arrived_s < HOLD_S:
                held = self._waiting.pop()
            batches: list[list[Coded]] = []
            for coded in self._waiting:
                if not batches or coded.sample.keyframe:
                    batches.append([])
                batches[-1].append(coded)
            self._waiting.clear()
            self._bytes = 0
            if held is not None:
                self._waiting.append(held)
                self._bytes = len(held.sample.data)
            if not batches:
                return []
            last = batches[-1][-1].sample.pts + self._step if held is None else held.sample.pts
            ends = [batch[0].sample.pts for batch in batches[1:]] + [last]
            return [Batch(batch, end) for batch, end in zip(batches, ends, strict=True)]
