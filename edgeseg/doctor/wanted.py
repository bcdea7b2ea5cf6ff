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


#: The folders of the service's configurations and of its states, see systemd/.
SERVICE_CONFIGS = Path("/etc/edgeseg")
SERVICE_STATES = Path("/var/lib/edgeseg")


def working_folder(config: Path | None) -> Path:
    """Returns where a run with that configuration is: the service's folder for one of its own, else where we are."""
    if config is None or config.absolute().parent != SERVICE_CONFIGS:
        return Path.cwd()
    return SERVICE_STATES if config.stem == "edgeseg" else SERVICE_STATES / config.stem


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
    """What a run would use. page, broker, recordings: None without one.

    broker: host and port. folder: where it runs, and what paths such as `recordings` start from. keep_free_bytes: what
    the recorder leaves to others.
    """

    cameras: tuple[WantedCamera, ...] = ()
    model: Path | None = None
    threads: int = 1
    runtime: RuntimeChoice = "auto"
    page: Address | None = None
    broker: tuple[str, int] | None = None
    folder: Path = Path()
    recordings: Path | None = None
    keep_free_bytes: int = 0
    heat: HeatConfig | None = None
    config: Path | None = None

    @property
    def of_the_service(self) -> bool:
        """Whether it is the service, or an instance of it, that runs with it."""
        return self.folder.is_relative_to(SERVICE_STATES)

    @classmethod
    def of(cls, config: Config, path: Path | None = None) -> Wanted:
        """Returns what `config`, read from `path`, asks for."""
        broker = config.mqtt.broker
        return cls(
            cameras=tuple(
                WantedCamera(name, camera.source, camera.format, camera.size, camera.fps)
                for name, camera in config.named_cameras().items()
            ),
            model=config.model.path,
            threads=config.model.threads,
            runtime=config.model.runtime,
            page=config.http.address,
            broker=None if broker is None else (broker.host, config.mqtt.port),
            heat=config.heat,
            folder=working_folder(path),
            recordings=config.recording.folder,
            keep_free_bytes=config.recording.keep.free,
            config=path,
        )
