"""The run as systemd sees it: when it is up, whether it advances, and how it is doing in one line."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Protocol

from edgeseg.ladder import Step
from edgeseg.systemd_notify import Notifier, page_answers


class Watched(Protocol):
    """A camera's health, as far as this knows it."""

    @property
    def alive(self) -> bool: ...

    def describe(self) -> str: ...


def notifier_for(
    cameras: Mapping[str, Watched],
    *,
    page_url: Callable[[], str | None],
    step: Callable[[], Step],
    clock: Callable[[], float] = time.monotonic,
) -> Notifier | None:
    """Returns what tells systemd of a run whose model is loaded, None outside of a service.

    page_url: where the live page is, asked anew each time, for its port may be known only later; None without a page.
    step: the rung of the ladder the run is on.

    A run whose camera is away is ready: there is nothing to wait for that a restart would bring, and the page says so.
    """

    def ready() -> bool:
        url = page_url()
        return url is None or page_answers(url)

    def alive() -> bool:
        # One camera that hangs in a driver is enough: a restart is what frees it.
        return all(health.alive for health in cameras.values())

    def status() -> str:
        return describe_run(cameras, step())

    return Notifier.from_environment(ready=ready, alive=alive, status=status, clock=clock)


def describe_run(cameras: Mapping[str, Watched], step: Step) -> str:
    """Returns the state of every camera, and that less is done than could be where that is so, in one line."""
    parts = [f"{name}: {health.describe()}" for name, health in cameras.items()]
    if step.rung:
        parts.append(step.describe())
    return "; ".join(parts)
