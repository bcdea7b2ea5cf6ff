"""Recovery: how much of a recording a power cut would cost, as it is and not as it was meant."""

from __future__ import annotations

from edgeseg.events import Events

#: What is promised: a kill or a power cut costs no more than the last second.
RECOVERY_S = 1.0


class Recovery:
    """Measures for how long pictures were at risk: from their capture until they were on the disk for good.

    worst_s: the longest of all. flush_s: the longest that the disk took to have them.
    """

    def __init__(self, events: Events, camera: str | None) -> None:
        self.worst_s = self.flush_s = 0.0
        self._events, self._camera = events, camera
        self._told = False

    def note(self, exposed_s: float, *, age_s: float, flush_s: float) -> None:
        """Notes a flush, with how long its oldest picture was at risk and how old that was when the recorder got it.

        The first time that the promise is not kept it is said, with what took the time.
        """
        self.worst_s = max(self.worst_s, exposed_s)
        self.flush_s = max(self.flush_s, flush_s)
        if exposed_s <= RECOVERY_S or self._told:
            return
        self._told = True
        self._events.add(
            "recording_late",
            f"a power cut would have cost {exposed_s:.1f} s, more than {RECOVERY_S:.0f} s: pictures were {age_s:.1f} s "
            f"old when they came to be recorded, and the disk took {flush_s:.1f} s",
            camera=self._camera,
            level="warning",
            exposed_s=round(exposed_s, 3),
            age_s=round(age_s, 3),
            flush_s=round(flush_s, 3),
        )
