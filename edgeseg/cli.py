"""The commands and their flags. The composition root: here the parts are chosen and put together, nowhere else.

Whatever takes time to import is imported by the command that needs it, so that `--help` and a mistyped flag answer at
once.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast, get_args

import typer

from edgeseg.command_line import CommandLineError
from edgeseg.errors import ConfigError, UsageError
from edgeseg.shutdown import StopSignals

if TYPE_CHECKING:
    from edgeseg.runtimes import RuntimeChoice

app = typer.Typer(
    name="edgeseg",
    help="Real-time road, vehicle and person segmentation of driving pictures.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

ModelOption = Annotated[
    Path | None, typer.Option("--model", metavar="FILE", help="A .tflite with its card; default: the bundled one.")
]
ThreadsOption = Annotated[
    int, typer.Option("--threads", metavar="N", min=1, max=64, help="Threads of the interpreter.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
RuntimeOption = Annotated[
    str, typer.Option("--runtime", metavar="NAME", help="auto, ai-edge-litert, tflite-runtime or tensorflow.")
]


def run_command_line(arguments: Sequence[str], signals: StopSignals) -> int:
    """Runs one command and returns its exit code. Raises EdgesegError for what the user can put right."""
    command = typer.main.get_command(app)
    try:
        code = command.main(list(arguments), prog_name="edgeseg", standalone_mode=False, obj=signals)
    except CommandLineError as error:
        context = getattr(error, "ctx", None)
        see = f"{context.command_path if context else 'edgeseg'} --help"
        raise UsageError(f"{error.format_message().rstrip('.')}; see {see}") from error
    return code if isinstance(code, int) else 0


def _print_version(wanted: bool) -> None:
    if wanted:
        from edgeseg import __version__

        print(f"edgeseg {__version__}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def edgeseg(
    context: typer.Context,
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        raise UsageError(
            "no command; give run, process, eval, bench, info, doctor, check, config or password; see edgeseg --help"
        )


@app.command()
def run(
    context: typer.Context,
    source: Annotated[
        str | None,
        typer.Argument(
            metavar="SOURCE",
            help="Camera (0, /dev/video0, csi:), stream (rtsp://, http://, udp://), video file, picture, folder, "
            "pipe:COMMAND or synthetic:1280x720@30.",
        ),
    ] = None,
    save: Annotated[
        list[str] | None,
        typer.Option("--save", metavar="FILE", help="NAME.mp4, NAME.jsonl or masks:FOLDER; may be given again."),
    ] = None,
    http: Annotated[
        str | None,
        typer.Option("--http", metavar="HOST:PORT", help="Serve the live page there; to other machines with a log-in."),
    ] = None,
    window: Annotated[bool | None, typer.Option("--window", help="Show the overlay in a window.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="An edgeseg.yaml; flags go before it.")
    ] = None,
    duration: Annotated[
        str | None, typer.Option("--duration", metavar="TIME", help="Stop after 10s, 500ms, 2m or 1h.")
    ] = None,
    model: ModelOption = None,
    threads: Annotated[
        int | None, typer.Option("--threads", metavar="N", help="Threads of the interpreter; 1 by default.")
    ] = None,
    no_fusion: Annotated[bool | None, typer.Option("--no-fusion", help="Decide every picture by itself alone.")] = None,
    loop: Annotated[bool | None, typer.Option("--loop", help="Begin a file anew at its end.")] = None,
    camera_size: Annotated[
        str | None, typer.Option("--camera-size", metavar="WxH", help="Ask the camera for this size.")
    ] = None,
    camera_fps: Annotated[
        float | None, typer.Option("--camera-fps", metavar="N", help="Ask the camera for this rate.")
    ] = None,
) -> None:
    """Segment a live source: a camera, or a file at its own pace. Ctrl-C ends it, its files are completed."""
    from edgeseg.config_file import Flag, load_config
    from edgeseg.reload import Reloader, read_stamp

    flags = [
        Flag("SOURCE", ("source",), source),
        Flag("--save", ("output", "save"), save or None),
        Flag("--http", ("http", "address"), http),
        Flag("--window", ("output", "window"), window),
        Flag("--duration", ("duration",), duration),
        Flag("--model", ("model", "path"), model),
        Flag("--threads", ("model", "threads"), threads),
        Flag("--no-fusion", ("fusion", "enabled"), None if no_fusion is None else not no_fusion),
        Flag("--loop", ("loop",), loop),
        Flag("--camera-size", ("camera", "size"), camera_size),
        Flag("--camera-fps", ("camera", "fps"), camera_fps),
    ]
    # Before it is read: what changes while the models are loaded is a change too.
    stamp = None if config is None else read_stamp(config)
    loaded = load_config(config, flags)
    _log_to_stderr(loaded.log.level)
    from edgeseg.assembly import Assembly

    # A camera on the command line that is absent is a slip of the finger; a service waits for its own.
    with Assembly(loaded, wait_for_cameras=source is None) as assembly, contextlib.ExitStack() as until_it_ends:
        if config is not None:
            reloader = until_it_ends.enter_context(Reloader(assembly, config, flags, stamp=stamp))
            assembly.every_tick(reloader.look)
        from edgeseg.service import notifier_for

        notifier = notifier_for(
            {name: lane.health for name, lane in assembly.lanes.items()},
            page_url=lambda: assembly.page.url if assembly.page else None,
            step=lambda: assembly.upkeep.step,
        )
        if notifier is not None:
            assembly.every_tick(notifier.tick)
            until_it_ends.callback(notifier.stopping)
        with context.obj.calling(assembly.stop):
            summaries = assembly.run()
    print("\n\n".join(summary.text() for summary in summaries))


@app.command()
def check(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(metavar="FILE", help="An edgeseg.yaml.")],
) -> None:
    """Look at a configuration file without running it: every error with its line, and what is allowed there."""
    from edgeseg.config_file import check_config

    context.obj.unfinished_is_failure = True
    problems = check_config(config)
    for problem in problems:
        print(problem)
    if problems:
        count = "1 error" if len(problems) == 1 else f"{len(problems)} errors"
        raise ConfigError(f"{config}: {count}")
    print(f"{config}: is in order")


@app.command("config")
def show_config(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="What this file changes is shown too.")
    ] = None,
    schema: Annotated[bool, typer.Option("--schema", help="Print the JSON schema of the file, for editors.")] = False,
) -> None:
    """Print the configuration that a run would have, as YAML, or what a file may hold."""
    from edgeseg.config_file import describe_config, describe_schema, load_config

    context.obj.unfinished_is_failure = True
    print(describe_schema() if schema else describe_config(load_config(config)), end="")


@app.command()
def process(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Videos, pictures, folders of either.")],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help="Where the outputs go.")],
    model: ModelOption = None,
    threads: Annotated[
        int | None,
        typer.Option("--threads", metavar="N", min=1, max=64, help="Threads of the interpreter; default: the cores."),
    ] = None,
    no_overlay: Annotated[bool, typer.Option("--no-overlay", help="Write no overlay video or picture.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Show below the overlay how sure the model is: confidence and entropy.")
    ] = False,
    masks: Annotated[bool, typer.Option("--masks", help="Write the classes as PNG files too.")] = False,
    no_records: Annotated[bool, typer.Option("--no-records", help="Write no JSONL.")] = False,
    no_fusion: Annotated[bool, typer.Option("--no-fusion", help="Decide every picture by itself alone.")] = False,
    config: Annotated[
        Path | None,
        typer.Option("--config", metavar="FILE", help="Take model, fusion, overlay, privacy and path from it."),
    ] = None,
) -> None:
    """Segment recorded files as fast as it goes, every frame. What was interrupted goes on with the same command."""
    from edgeseg.config_file import load_config
    from edgeseg.offline import Choices, OfflineJob

    if explain and no_overlay:
        raise UsageError("--explain: is drawn below the overlay; leave out --no-overlay")
    _log_to_stderr("info")
    loaded = load_config(config)
    half_life_s = loaded.fusion.half_life
    choices = Choices(
        overlay=not no_overlay,
        masks=masks,
        records=not no_records,
        fusion=0.0 if no_fusion or not loaded.fusion.enabled else half_life_s and half_life_s * 1e3,
        opacity=loaded.overlay.opacity,
        legend=loaded.overlay.legend,
        blur_people=loaded.privacy == "blur_people",
        path=loaded.person_in_path,
        explain=explain,
    )
    # Nothing waits for a file: the interpreter may have every core that decoding and encoding leave.
    threads = threads or len(os.sched_getaffinity(0))
    job = OfflineJob(files, out, model=model or loaded.model.path, threads=threads, choices=choices)
    with context.obj.calling(job.stop):
        report = job.run()
    raise typer.Exit(report.exit_code)


@app.command("eval")
def evaluate(
    context: typer.Context,
    dataset: Annotated[Path, typer.Option("--dataset", metavar="DIR", help="Holds images/ and labels/, equal stems.")],
    mapping: Annotated[
        str, typer.Option("--mapping", metavar="FILE", help="Raw values to classes: a YAML file, or a shipped name.")
    ],
    model: ModelOption = None,
    threads: ThreadsOption = 1,
    runtime: RuntimeOption = "auto",
    json: JsonOption = False,
) -> None:
    """Measure the IoU of a model on labelled pictures, through the device's own path."""
    from edgeseg.evaluate import run as run_evaluation

    context.obj.unfinished_is_failure = True
    run_evaluation(dataset, mapping, model, threads=threads, runtime=_runtime(runtime), as_json=json)


@app.command()
def bench(
    context: typer.Context,
    model: ModelOption = None,
    against: Annotated[
        Path | None, typer.Option("--against", metavar="FILE", help="Compare with this .tflite, turn by turn.")
    ] = None,
    threads: ThreadsOption = 1,
    rounds: Annotated[int, typer.Option("--rounds", metavar="N", min=10, help="How often everything is timed.")] = 200,
    runtime: RuntimeOption = "auto",
    json: JsonOption = False,
) -> None:
    """Time a model and the stages around it on this machine."""
    from edgeseg.benchmark import run as run_benchmark

    context.obj.unfinished_is_failure = True
    run_benchmark(model, against, threads=threads, runtime=_runtime(runtime), rounds=rounds, as_json=json)


@app.command()
def info(
    context: typer.Context,
    model: Annotated[Path | None, typer.Argument(metavar="MODEL", help="A .tflite; default: the bundled one.")] = None,
    runtime: RuntimeOption = "auto",
    json: JsonOption = False,
) -> None:
    """Tell what a model is: classes, input, licence, training data, measured IoU, and what runs it here."""
    from edgeseg.info import run as run_info

    context.obj.unfinished_is_failure = True
    run_info(model, runtime=_runtime(runtime), as_json=json)


@app.command()
def doctor(
    context: typer.Context,
    config: Annotated[
        Path | None, typer.Option("--config", metavar="FILE", help="Look at what a run with this file would use.")
    ] = None,
    json: JsonOption = False,
) -> None:
    """Look at everything a run needs, and say what to do. Ends with 69 when something keeps it from running."""
    from edgeseg.doctor import run as run_doctor

    context.obj.unfinished_is_failure = True
    raise typer.Exit(run_doctor(config, as_json=json))


@app.command()
def password(context: typer.Context) -> None:
    """Make the hash of a password for `http: users:`; asks for it, or reads the first line of stdin."""
    from edgeseg.server.passwords import PasswordHash, ask_password

    context.obj.unfinished_is_failure = True
    print(PasswordHash.make(ask_password()))


def _runtime(name: str) -> RuntimeChoice:
    from edgeseg.runtimes import RuntimeChoice

    if name not in get_args(RuntimeChoice):
        raise UsageError(f"--runtime {name}: unknown; give one of {', '.join(get_args(RuntimeChoice))}")
    return cast("RuntimeChoice", name)


class _Lines(logging.Formatter):
    """`edgeseg: MESSAGE`, with the level before the message where it is not the usual one."""

    def format(self, record: logging.LogRecord) -> str:
        level = "" if record.levelno == logging.INFO else f"{record.levelname.lower()}: "
        return f"edgeseg: {level}{super().format(record)}"


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Lines())
    logger = logging.getLogger("edgeseg")
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    if level == "debug":
        # What the libraries say by themselves, see __main__.py.
        os.dup2(sys.stderr.fileno(), 2)
