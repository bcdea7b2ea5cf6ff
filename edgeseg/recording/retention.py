"""Retention: which segments have to go."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from edgeseg.recording.config import KeepConfig

#: "room" is for what a full disk asks for at once.
Reason = Literal["age", "size", "free", "room"]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A closed segment. age_s: since it began, at least; None when nobody knows. kept: whether an event keeps it."""

    size: int
    age_s: float | None = None
    kept: bool = False


def choose_surplus(
    candidates: Sequence[Candidate], limits: KeepConfig, *, other_bytes: int, free_bytes: int
) -> list[tuple[int, Reason]]:
    """Returns which of the candidates, oldest first, have to go and why, in the order in which they go.

    Age takes what is too old, but nothing that an event keeps, and nothing whose age nobody knows. Size and free space
    take the oldest, and those that an event keeps only when there are no others: a disk full of kept minutes must not
    end the recording. `other_bytes` are those of segments that cannot go, the open ones above all; they count.
    """
    chosen: list[tuple[int, Reason]] = []
    ages = _ages(candidates)
    if limits.age is not None:
        chosen += [
            (index, "age")
            for index, (it, age_s) in enumerate(zip(candidates, ages, strict=True))
            if age_s is not None and age_s > limits.age and not it.kept
        ]
    gone = {index for index, _ in chosen}
    freed = sum(candidates[index].size for index in gone)
    total = other_bytes + sum(it.size for it in candidates)
    rest = [index for index in range(len(candidates)) if index not in gone]
    rest.sort(key=lambda index: candidates[index].kept)
    is_over: list[tuple[Reason, Callable[[], bool]]] = [
        ("size", lambda: limits.size is not None and total - freed > limits.size),
        ("free", lambda: free_bytes + freed < limits.free),
    ]
    for reason, over in is_over:
        while rest and over():
            index = rest.pop(0)
            chosen.append((index, reason))
            freed += candidates[index].size
    return chosen


def _ages(candidates: Sequence[Candidate]) -> list[float | None]:
    """Returns the ages; one that nobody knows is at least that of the next segment whose age is known."""
    ages: list[float | None] = []
    known: float | None = None
    for it in reversed(candidates):
        known = it.age_s if it.age_s is not None else known
        ages.append(known)
    return ages[::-1]
