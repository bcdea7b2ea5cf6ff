"""`edgeseg doctor`: looks at everything a run needs, and says what to do about what it does not find.

One file for each group of checks; each check takes what it looks at as arguments, a folder in place of / among them.
Modules that need OpenCV, numpy or PyAV are imported only once the packages have been looked at: a broken one of these
is what the doctor is for.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from edgeseg.doctor.finding import Finding, worst
from edgeseg.doctor.packages import check_packages
from edgeseg.doctor.wanted import Wanted
from edgeseg.errors import ConfigError, explain

__all__ = ["EXIT_PROBLEM", "Finding", "examine", "run"]

#: Something that a run needs is not there: the code of an unavailable source or sink (sysexits EX_UNAVAILABLE).
EXIT_PROBLEM = 69


def examine(config: Path | None = None, root: Path = Path("/")) -> Iterator[Finding]:
    """Yields every finding, one group after the other. `root` stands in for / wherever the system is looked at."""
    yield from check_packages()
    wanted, findings = _read_wanted(config)
    yield from findings
    for group in _groups(wanted, root):
        try:
            yield from group()
        except ImportError as error:
            yield _not_importable(error)
        except OSError as error:
            yield Finding(
                group.__name__, "warning", f"could not be looked at: {explain(error)}", "run: sudo edgeseg doctor"
            )


def run(config: Path | None = None, *, as_json: bool = False) -> int:
    """The command: prints a table or JSON to stdout and returns the exit code, 0 or EXIT_PROBLEM."""
    from rich.console import Console

    from edgeseg.doctor import report

    if as_json:
        findings = list(examine(config))
        sys.stdout.write(json.dumps(report.as_json(findings), indent=2, allow_nan=False) + "\n")
    else:
        with Console(stderr=True).status("looking at this machine"):
            findings = list(examine(config))
        report.show(findings, Console())
    return EXIT_PROBLEM if worst(findings) == "problem" else 0


def _groups(wanted: Wanted, root: Path) -> Iterator[Callable[[], list[Finding]]]:
    """Yields the checks in their order; each is imported when it is called."""

    def cameras() -> list[Finding]:
        from edgeseg.doctor.cameras import check_cameras, check_csi

        return [*check_cameras(wanted.cameras, root), *check_csi(wanted.cameras, root)]

    def servers() -> list[Finding]:
        from edgeseg.doctor.servers import check_broker, check_streams

        return [*check_streams(wanted.cameras), *check_broker(wanted.broker)]

    def model() -> list[Finding]:
        from edgeseg.doctor.model import check_model

        return check_model(wanted.model, wanted.threads, wanted.runtime)

    def encoder() -> list[Finding]:
        from edgeseg.doctor.encoder import check_encoder

        return check_encoder()

    def storage() -> list[Finding]:
        from edgeseg.doctor.storage import LOW_BYTES, check_storage

        folder = wanted.folder / (wanted.recordings or "")
        return check_storage(folder, root, low_bytes=LOW_BYTES + wanted.keep_free_bytes)

    def page() -> list[Finding]:
        from edgeseg.doctor.page import check_page

        return check_page(wanted.page, root)

    def heat() -> list[Finding]:
        from edgeseg.doctor.heat import check_heat

        return check_heat(root, limits=wanted.heat)

    def clock() -> list[Finding]:
        from edgeseg.doctor.clock import check_clock

        return check_clock(root)

    def permissions() -> list[Finding]:
        from edgeseg.doctor.permissions import check_permissions

        recordings = wanted.folder / wanted.recordings if wanted.of_the_service and wanted.recordings else None
        return check_permissions(wanted.config, root, recordings=recordings)

    yield from (cameras, servers, model, encoder, storage, page, heat, clock, permissions)


def _read_wanted(config: Path | None) -> tuple[Wanted, list[Finding]]:
    if config is None:
        return Wanted(), []
    try:
        from edgeseg.config_file import load_config

        wanted = Wanted.of(load_config(config), config)
    except ConfigError as error:
        remedy = f"correct it; edgeseg check {config} looks at it alone"
        return Wanted(config=config), [Finding("configuration", "problem", str(error), remedy)]
    except ImportError as error:
        return Wanted(config=config), [_not_importable(error)]
    return wanted, [Finding("configuration", "ok", f"{config}: is valid")]


def _not_importable(error: ImportError) -> Finding:
    name = (error.name or "a package").partition(".")[0]
    return Finding(
        "packages",
        "problem",
        f"{name} cannot be imported: {' '.join(str(error).split())[:200]}",
        f"run: python -m pip install --force-reinstall {name if error.name else 'edgeseg'}",
    )
