"""Attempts: how often a client, and everybody together, may try a key."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable

#: Tries that a client has at once, and the seconds after which it has one more.
PER_CLIENT, CLIENT_S = 5, 12.0
#: The same of all clients together: bounds what scrypt takes of the processor, 0.3 s for each (x86), to a thirteenth.
OVERALL, OVERALL_S = 10, 4.0
#: Clients that are remembered; the one that tried longest ago is forgotten first.
REMEMBERED = 1024


class Bucket:
    """Holds up to `most` tries and gets one back every `every_s` seconds."""

    def __init__(self, most: int, every_s: float, now_s: float) -> None:
        self._most, self._every_s = most, every_s
        self._tries, self._at_s = float(most), now_s

    def wait_s(self, now_s: float) -> float:
        """Returns the seconds until there is a try, 0 when there is one."""
        self._tries = min(self._most, self._tries + (now_s - self._at_s) / self._every_s)
        self._at_s = now_s
        return max(0.0, (1.0 - self._tries) * self._every_s)

    def add(self, tries: int) -> None:
        self._tries = min(self._most, self._tries + tries)


class Attempts:
    """Counts tries; a success gives its try back. Lives on one thread."""

    def __init__(self, *, overall: bool, clock: Callable[[], float] = time.monotonic) -> None:
        """With `overall` all clients together are limited too."""
        self._clock = clock
        self._overall = Bucket(OVERALL, OVERALL_S, clock()) if overall else None
        self._clients: OrderedDict[str, Bucket] = OrderedDict()

    def wait_s(self, client: str) -> float:
        """Returns the seconds until `client` may try, 0 when it may."""
        now_s = self._clock()
        own = self._clients[client].wait_s(now_s) if client in self._clients else 0.0
        return max(own, self._overall.wait_s(now_s) if self._overall else 0.0)

    def take(self, client: str) -> float:
        """Takes one try of `client`: returns 0, or the seconds to wait before there is one again."""
        wait_s = self.wait_s(client)
        if wait_s == 0.0:
            self._clients.setdefault(client, Bucket(PER_CLIENT, CLIENT_S, self._clock())).add(-1)
            self._clients.move_to_end(client)
            if len(self._clients) > REMEMBERED:
                self._clients.popitem(last=False)
            if self._overall:
                self._overall.add(-1)
        return wait_s

    def give_back(self, client: str) -> None:
        """Takes back the count of a try that was right."""
        if self._overall:
            self._overall.add(1)
        if client in self._clients:
            self._clients[client].add(1)
