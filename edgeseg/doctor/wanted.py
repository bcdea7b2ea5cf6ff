"""Wanted: what a configuration asks of the machine, as far as the doctor looks at it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgeseg.config import Config
    from edgeseg.heat_config import HeatConfig
    from edgeseg.runtimes import RuntimeChoice
    from edgeseg.server.address import Address


@dataclass(frozen=True, slots=True)
class WantedCamera:
    """A source and what is asked of it. size_wh, fps: None where it may choose."""

    name: str
    source: str
    pixel_format: str = "MJPG"
    size_wh: tuple[int, int] | None = None
    fps: float | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a run would use. recordings: the folder of the recorder, None without one; page: None without one."""

    cameras: tuple[WantedCamera, ...] = ()
    model: Path | None = None
    threads: int = 1
    runtime: RuntimeChoice = "auto"
    page: Address | None = None
    recordings: Path | None = None
    heat: HeatConfig | None = None
    config: Path | None = None

    @classmethod
    def of(cls, config: Config, path: Path | None = None) -> Wanted:
        """Returns what `config`, read from `path`, asks for."""
        recording = getattr(config, "recording", None)
        return cls(
            cameras=tuple(
                WantedCamera(name, camera.source, camera.format, camera.size, camera.fps)
                for name, camera in config.named_cameras().items()
            ),
            model=config.model.path,
            threads=config.model.threads,
            runtime=config.model.runtime,
            page=config.http.address,
            heat=config.heat,
            recordings=None if recording is None else recording.folder,
            config=path,
        )
