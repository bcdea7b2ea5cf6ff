"""python -m convert: a trained network in, a checked .tflite that carries its card out."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import NoReturn

from rich.console import Console

from convert.calibrate import SAMPLE_COUNT
from edgeseg.errors import EdgesegError, UsageError, tell_bug
from edgeseg.fields import parse_size


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in the one line of every other error, without the usage above it."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}; see {self.prog} --help")


def _read_size(text: str) -> tuple[int, int]:
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} {error}") from error


def build_parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="python -m convert",
        description="Converts a trained network to .tflite, float32 and INT8; writes them only if INT8 is as good.",
    )
    add = parser.add_argument
    add("source", type=Path, metavar="RUN_OR_KERAS", help="a run folder, or a .keras file beside its card.json")
    add("--out", type=Path, required=True, metavar="DIR", help="where the .tflite files go, two for each size")
    add(
        "--size",
        type=_read_size,
        nargs="+",
        metavar="WxH",
        help="the input sizes, a pair of models for each (default: that of training)",
    )
    add(
        "--calibration",
        type=Path,
        nargs="+",
        metavar="DIR",
        help=f"folders of driving pictures; {SAMPLE_COUNT} are taken (default: the run's training sets)",
    )
    add("--validation", type=Path, metavar="DIR", help="images/ and labels/ (default: the run's validation set)")
    add("--mapping", metavar="NAME_OR_FILE", help="what the label values of --validation mean, such as camvid")
    add(
        "--report",
        type=Path,
        metavar="PAGE.html",
        help="write what was measured, also when the gate fails, with PAGE-reliability.png beside it; PAGE-WxH.html of "
        "several sizes",
    )
    return parser


def _name_report(report: Path | None, size_wh: tuple[int, int] | None) -> Path | None:
    """Returns the page of one of several sizes, which would write over each other's; that given for a single one."""
    if report is None or size_wh is None:
        return report
    return report.with_name(f"{report.stem}-{size_wh[0]}x{size_wh[1]}{report.suffix}")


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit code."""
    written = 0
    try:
        options = build_parser().parse_args(arguments)
        # Imported late: `--help` and a mistyped flag are answered where the packages for converting are missing, too.
        from convert.conversion import Request, check_sizes, convert

        sizes = options.size or [None]
        check_sizes(options.source, [size[::-1] for size in options.size or ()])
        for size in sizes:
            request = Request(
                source=options.source,
                out=options.out,
                input_hw=size and size[::-1],
                calibration=options.calibration or (),
                validation=options.validation,
                mapping=options.mapping,
                report=_name_report(options.report, size if len(sizes) > 1 else None),
            )
            for path in convert(request, Console(stderr=True)):
                print(path, flush=True)
                written += 1
    except EdgesegError as error:
        # One line, whatever a library put into its message.
        print(f"convert: error: {' '.join(str(error).split())}", file=sys.stderr)
        return error.exit_code
    except ModuleNotFoundError as error:
        package = str(error.name).partition(".")[0]
        print(f"convert: error: {package} is not installed; run pip install -e '.[convert]'", file=sys.stderr)
        return UsageError.exit_code
    except KeyboardInterrupt:
        print(f"convert: stopped; {'only the above was' if written else 'nothing was'} written", file=sys.stderr)
        return 130
    except Exception:  # noqa: BLE001 - it is shown, and it decides the exit code
        return tell_bug("convert")
    return 0


if __name__ == "__main__":
    sys.exit(main())
