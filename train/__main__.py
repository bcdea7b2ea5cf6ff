"""`python -m train`: check a recipe's data, fit it, evaluate what came out."""

from __future__ import annotations

import logging
import os
import sys

# Without it TensorFlow leaves oneDNN's convolutions alone on CPUs without AVX-512: 1.99 s instead of 0.88 s a step.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import typer
from rich.console import Console
from rich.logging import RichHandler

from edgeseg.command_line import CommandLineError
from edgeseg.errors import EdgesegError, UsageError, tell_bug
from train.making import average, check, fit, report, unpack
from train.using import evaluate, explain, pseudo_label, robustness

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__)
for command in (check, fit, average, unpack, evaluate, robustness, pseudo_label, explain, report):
    app.command()(command)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns the exit code: one line on stderr for an error that a user can mend."""
    logging.basicConfig(
        level=logging.INFO, format="%(message)s", handlers=[RichHandler(console=Console(stderr=True), show_path=False)]
    )
    try:
        app(arguments, prog_name="python -m train", standalone_mode=False)
    except EdgesegError as error:
        print(f"train: error: {error}", file=sys.stderr)
        return error.exit_code
    except CommandLineError as error:
        print(f"train: error: {error.format_message()}", file=sys.stderr)
        return UsageError.exit_code
    except ModuleNotFoundError as error:
        print(f"train: error: {error.name} is not installed; pip install -e '.[train]'", file=sys.stderr)
        return UsageError.exit_code
    except (KeyboardInterrupt, typer.Abort):
        print(
            "train: stopped; `fit` continues with --resume, `pseudo-label` with the same command, the rest begins anew",
            file=sys.stderr,
        )
        return 130
    except Exception:  # noqa: BLE001 - it is shown, and it decides the exit code
        return tell_bug("train")
    return 0


if __name__ == "__main__":
    sys.exit(main())
