"""Jobs for tests, and what came of them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.offline import Choices, OfflineJob, Report


class Told:
    """Takes the progress down; `on_count` may do something at a frame."""

    def __init__(self, on_count: Callable[[int], None] = lambda done: None) -> None:
        self.begun: list[tuple[str, int, int | None]] = []
        self.counts: list[int] = []
        self.lines: list[str] = []
        self._on_count = on_count

    def __enter__(self) -> Told:
        return self

    def __exit__(self, *_: object) -> None: ...

    def begin(self, name: str, done: int, total: int | None) -> None:
        self.begun.append((name, done, total))

    def count(self, done: int) -> None:
        self.counts.append(done)
        self._on_count(done)

    def say(self, line: str) -> None:
        self.lines.append(line)


class Workplace:
    """A model, a folder for outputs, and jobs."""

    def __init__(self, model: Path, folder: Path) -> None:
        self.model = model
        self.folder = folder
        self.out = folder / "out"
        self.told = Told()

    def run(self, *inputs: Path, stop_at: int | None = None, **choices: Any) -> Report:
        self.told = Told(lambda done: job.stop() if done == stop_at else None)
        job = OfflineJob(
            inputs,
            self.out,
            model=self.model,
            choices=Choices(**choices),
            progress=self.told,
        )
        return job.run()

    def records(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.out / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()]


def read_video(path: Path) -> tuple[list[float], list[NDArray[np.uint8]]]:
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert stream.time_base is not None
        frames = [(float(f.pts * stream.time_base), f.to_ndarray(format="bgr24")) for f in container.decode(stream)]
    return [round(time, 4) for time, _ in frames], [picture for _, picture in frames]


def numbers_of(path: Path) -> list[int]:
    """The numbers that the pictures of a video show. Encoding it twice costs up to five grey levels of eight."""
    return [round(float(picture[24:36, 32:48].mean()) / 8 - 1.7) for picture in read_video(path)[1]]


def write_picture(path: Path, street: NDArray[np.uint8]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), street)
    return path
