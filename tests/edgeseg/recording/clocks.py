"""A clock that a test sets: the calendar may be wrong, jump, and be put right."""

from __future__ import annotations

SECOND = 1_000_000_000


class FakeClock:
    """Advances when it is told to. `wall_s` is what the calendar shows, whether or not it is right."""

    def __init__(self, *, boot_id: str = "1a2b3c4d", since_boot_s: float = 1000.0, wall_s: float = 0.0) -> None:
        self.boot_id = boot_id
        self.right = False
        self._since_boot_ns = round(since_boot_s * SECOND)
        self._wall_ns = round(wall_s * SECOND)

    def advance(self, seconds: float) -> None:
        self._since_boot_ns += round(seconds * SECOND)
        self._wall_ns += round(seconds * SECOND)

    def set_wall(self, seconds: float, *, right: bool = False) -> None:
        """The clock is set, by hand or, `right`, by a time server."""
        self._wall_ns = round(seconds * SECOND)
        self.right = right

    def monotonic_ns(self) -> int:
        return self._since_boot_ns

    def boot_ns(self) -> int:
        return self._since_boot_ns

    def wall_ns(self) -> int:
        return self._wall_ns

    def synchronised(self) -> bool:
        return self.right
