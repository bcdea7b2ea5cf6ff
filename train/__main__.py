"""`python -m train`: check a recipe's data, fit it, evaluate what came out."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

# Without it TensorFlow leaves oneDNN's convolutions alone on CPUs without AVX-512: 1.99 s instead of 0.88 s a step.
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import typer
from rich.console import Console
from rich.logging import RichHandler
from rich.table import Table

from edgeseg.classes import CLASS_NAMES
from edgeseg.command_line import CommandLineError
from edgeseg.errors import DataError, EdgesegError, UsageError, tell_bug
from edgeseg.hand_over import RECIPE_NAME, find_damage
from edgeseg.iou import none_if_nan
from train.config import DatasetEntry, Teacher, load_recipe
from train.datasets import Dataset, describe_dataset, find_shared, inspect_dataset
from train.run_folder import RunFolder

if TYPE_CHECKING:
    from edgeseg.iou import ConfusionMatrix
    from train.evaluate import Views

app = typer.Typer(add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, help=__doc__)
console = Console()

RecipeArgument = Annotated[str, typer.Argument(help="the name of one of train/recipes (nano_base, …) or a YAML file")]
DataOption = Annotated[
    Path | None, typer.Option("--data", help="where the recipe's data paths start (default: the recipe's own folder)")
]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="a field of the recipe: optimizer.lr=1e-3, datasets.camvid.weight=0.5"
    ),
]


@app.command()
def check(recipe: RecipeArgument, data: DataOption = None, settings: SetOption = None) -> None:
    """Read every picture and mask of a recipe; name all broken pairs and shared pictures; show the class shares."""
    loaded = load_recipe(recipe, data, settings or ())
    table = Table("data set", "pairs", *(f"{name} %" for name in CLASS_NAMES), "ignored %", "problems")
    problems: list[str] = []
    if loaded.pretrained:
        problems += find_damage(loaded.pretrained.path, "file of pretrained weights")
    if loaded.teacher:
        problems += find_damage(loaded.teacher.model, "teacher; train it first, or name another one")
    training, validation = ([inspect_dataset(entry) for entry in it] for it in (loaded.datasets, loaded.validation))
    for role, inspections in (("training", training), ("validation", validation)):
        for found in inspections:
            shares = [f"{100 * share:.2f}" for share in (*found.shares, found.ignored_share)]
            table.add_row(f"{role}: {found.entry.name}", str(len(found.pairs)), *shares, str(len(found.problems)))
            problems += found.problems
    problems += find_shared(training, validation)
    console.print(table)
    problems = list(dict.fromkeys(problems))  # a folder may be split between training and validation
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise DataError(f"{recipe}: {len(problems)} problems in its data, each named above")


@app.command()
def fit(
    recipe: RecipeArgument,
    out: Annotated[Path, typer.Option("--out", help="the run folder to make")],
    data: DataOption = None,
    settings: SetOption = None,
    resume: Annotated[bool, typer.Option(help="continue the run in --out after its last whole epoch")] = False,
    seed: Annotated[int | None, typer.Option(min=0, help="instead of the recipe's")] = None,
    teacher: Annotated[
        Path | None, typer.Option(help="the .keras to learn from instead of the recipe's `teacher: model:`")
    ] = None,
) -> None:
    """Train a recipe; everything about the run lands in one folder."""
    from train.fit import fit_recipe

    loaded = load_recipe(recipe, data, settings or ())
    if seed is not None:
        loaded = loaded.model_copy(update={"seed": seed})
    if teacher is not None:
        if loaded.teacher is None:
            raise UsageError(f"--teacher {teacher}: the recipe {recipe} has no `teacher:`; add one to it")
        lesson = loaded.teacher.model_dump() | {"model": teacher.absolute()}
        try:
            loaded = loaded.model_copy(update={"teacher": Teacher.model_validate(lesson)})
        except ValueError as error:
            raise UsageError(f"--teacher {teacher}: give the best.keras of a run") from error
    matrices = fit_recipe(loaded, out, resume=resume)
    for name, matrix in matrices.items():
        _print_matrix(name, matrix)


@app.command()
def average(
    runs: Annotated[list[Path], typer.Argument(help="run folders of one recipe, by different seeds")],
    out: Annotated[Path, typer.Option("--out", help="the run folder to make")],
) -> None:
    """Make one network of several runs of a recipe: the average of their weights. Compare it with each."""
    from train.average import average_runs

    for name, matrix in average_runs(runs, out).items():
        _print_matrix(name, matrix)


@app.command()
def unpack(
    model: Annotated[Path, typer.Argument(help="a released .tflite of ours, INT8 or float32")],
    out: Annotated[Path, typer.Option("--out", help="the folder for best.keras and card.json")],
    pictures: Annotated[
        list[Path] | None,
        typer.Option(
            help="videos or folders of pictures, for the batch norms' statistics (default: the bundled drive)"
        ),
    ] = None,
) -> None:
    """Make a released model trainable again, and fit for every command here that wants a network."""
    from train.unpack import unpack_model

    drive = Path(__file__).resolve().parents[1] / "examples" / "drive" / "highway.mp4"
    agreement = unpack_model(model, pictures or [drive], out)
    print(f"{out}: {100 * agreement:.1f} % of the pixels get the class that {model.name} gives them")


@app.command()
def evaluate(
    run: Annotated[Path, typer.Argument(help="a run folder")],
    dataset: Annotated[
        str | None,
        typer.Option(
            help="a validation set of the recipe by name, `train:NAME` for one that it learnt from, or a folder with "
            "images/ and labels/ (default: all validation sets)"
        ),
    ] = None,
    mapping: Annotated[str | None, typer.Option(help="what the label values of a folder mean")] = None,
    scales: Annotated[str, typer.Option(help="test-time views: input sizes relative to the recipe's")] = "1",
    flip: Annotated[bool, typer.Option("--flip", help="test-time views: mirrored ones too")] = False,
    as_trained: Annotated[
        bool, typer.Option("--as-trained", help="the scores as they are, not scaled on the recipe's validation sets")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="print JSON")] = False,
) -> None:
    """IoU per class, mean IoU, pixel accuracy and the confusion matrix of a run's best network."""
    from train.evaluate import evaluate_datasets, load_best, make_predictor, make_true

    views = _read_views(scales, flip)
    folder, recipe = RunFolder.open(run)
    datasets = [Dataset.open(entry) for entry in _choose_entries(recipe.validation, recipe.datasets, dataset, mapping)]
    predict = make_predictor(load_best(folder), recipe.input_size, views)
    if not as_trained:
        predict = make_true(predict, [Dataset.open(entry) for entry in recipe.validation])
    results = evaluate_datasets(predict, datasets)
    if as_json:
        answer = {
            name: {
                "iou": {label: none_if_nan(value) for label, value in matrix.iou().items()},
                "mean_iou": none_if_nan(matrix.mean_iou()),
                "mean_iou_foreground": none_if_nan(matrix.mean_iou_foreground()),
                "pixel_accuracy": none_if_nan(matrix.pixel_accuracy()),
                "confusion": matrix.counts.tolist(),
            }
            for name, matrix in results.items()
        }
        print(json.dumps(answer, indent=2))
        return
    for name, matrix in results.items():
        _print_matrix(name, matrix)


@app.command()
def robustness(
    recipe: Annotated[str, typer.Argument(help="the recipe, by name or file, whose validation sets are used")],
    model: Annotated[Path, typer.Option(help="the .tflite to judge, float32 or INT8")],
    out: Annotated[Path, typer.Option("--out", help="the folder for robustness.md and robustness.json")],
    data: DataOption = None,
    pictures: Annotated[
        int | None, typer.Option(min=1, help="at most so many of each set, evenly spread (default: all)")
    ] = None,
) -> None:
    """What low light, motion blur, rain drops, fog, JPEG and noise cost a model, at three strengths."""
    from rich.progress import Progress

    from edgeseg.segmenter import Segmenter
    from edgeseg.sinks.files import prepare_folder
    from train.robustness import measure, write_tables

    datasets = [Dataset.open(entry) for entry in load_recipe(recipe, data).validation]
    with Segmenter(model) as segmenter, Progress(console=Console(stderr=True), transient=True) as progress:
        prepare_folder(out)
        task = progress.add_task("pictures, each in all its variants", total=None)
        found = measure(
            segmenter, datasets, pictures, lambda done, total: progress.update(task, completed=done, total=total)
        )
    for name, count in found.pictures.items():
        head = ("corruption", "strength", *(f"{label} %" for label in CLASS_NAMES[1:]), "mean %", "drop %")
        table = Table(*head, title=f"{name}, {count} pictures")
        for row in found.rows(name):
            table.add_row(*row)
        console.print(table)
    print(found.verdict())
    for path in write_tables(found, out):
        print(path)


@app.command()
def pseudo_label(
    clips: Annotated[list[Path], typer.Argument(help="videos, or folders of pictures, of drives without labels")],
    model: Annotated[Path, typer.Option(help="the teacher: a run folder, or a .keras with its card.json beside it")],
    out: Annotated[Path, typer.Option("--out", help="the dataset folder to make")],
    every: Annotated[int, typer.Option(min=1, help="label one of so many frames")] = 10,
    sure: Annotated[float, typer.Option(help="the least probability of a labelled pixel")] = 0.9,
    scales: Annotated[str, typer.Option(help="views that must agree: sizes relative to the network's")] = "0.75,1,1.25",
    flip: Annotated[bool, typer.Option(help="mirrored views must agree, too")] = True,
    neighbours: Annotated[
        bool, typer.Option(help="the frames before and after must agree, where things moved to (optical flow)")
    ] = True,
    least: Annotated[float, typer.Option(help="drop a picture of which a smaller share was labelled")] = 0.3,
    as_trained: Annotated[
        bool, typer.Option("--as-trained", help="the scores as they are, not scaled on the validation sets of the run")
    ] = False,
) -> None:
    """Label the frames of videos with what a trained network is sure of; the rest is ignored."""
    from rich.progress import Progress, TextColumn

    from train.network_file import load_network
    from train.pseudo_label import Conditions, label_clips, recipe_entry

    conditions = Conditions(_read_views(scales, flip), every, sure, neighbours, least)
    teacher = load_network(model)
    # What `unpack` made is no run, and its scores are true.
    scaled = (model / RECIPE_NAME).is_file() and not as_trained
    entries = RunFolder.open(model)[1].validation if scaled else []
    columns = TextColumn("{task.description}"), TextColumn("{task.fields[kept]} of {task.completed} pictures kept")
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, kept=0)
        found = label_clips(
            clips,
            teacher,
            out,
            conditions,
            [Dataset.open(entry) for entry in entries],
            lambda name, seen, kept: progress.update(task, description=name, completed=seen, kept=kept),
        )
    table = Table("class", "% of the pixels", title=f"{found.kept} of {found.seen} pictures kept")
    for name, share in found.shares().items():
        table.add_row(name, f"{100 * share:.2f}")
    console.print(table)
    print(f"to mix it in, a line for the recipe's datasets:\n{recipe_entry(out.absolute(), teacher)}")


@app.command()
def explain(
    picture: Annotated[Path, typer.Argument(help="a picture")],
    model: Annotated[Path, typer.Option(help="a run folder, or a .keras with its card.json beside it")],
    classes: Annotated[
        list[str] | None, typer.Option("--class", help="one of other, road, vehicle, person; as often as you like")
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="the folder for PICTURE-CLASS.png")] = Path(),
    layer: Annotated[str | None, typer.Option(help="whose maps are looked at (default: the deepest)")] = None,
) -> None:
    """Draw what in a picture spoke for a class where the network saw it (Seg-Grad-CAM)."""
    chosen = classes or ["person"]
    if foreign := [name for name in chosen if name not in CLASS_NAMES]:
        raise UsageError(f"--class {foreign[0]}: not one of {', '.join(CLASS_NAMES)}")

    from edgeseg.labels import read_image
    from train.explain import write_explanation
    from train.network_file import load_network

    image = read_image(picture)
    network = load_network(model)
    for name in chosen:
        print(write_explanation(network, picture, image, name, out, layer))


@app.command()
def report(run: Annotated[Path, typer.Argument(help="a run folder")]) -> None:
    """Draw a run's curves, confusion matrices and predictions again."""
    from train.report import write_report

    folder, recipe = RunFolder.open(run)
    for name, matrix in write_report(folder, recipe).items():
        _print_matrix(name, matrix)


def _read_views(scales: str, flip: bool) -> Views:
    from train.evaluate import Views

    try:
        return Views(tuple(float(scale) for scale in scales.split(",")), flip)
    except ValueError as error:
        raise UsageError(f"--scales {scales}: write numbers with commas between them, such as 0.75,1,1.25") from error


def _choose_entries(
    validation: tuple[DatasetEntry, ...],
    training: tuple[DatasetEntry, ...],
    dataset: str | None,
    mapping: str | None,
) -> list[DatasetEntry]:
    if dataset is None:
        if mapping is not None:
            raise UsageError(f"--mapping {mapping}: is for a folder; give --dataset too")
        return list(validation)
    if mapping is not None:
        return [describe_dataset(Path(dataset), mapping)]
    named = {f"train:{entry.name}": entry for entry in training} | {entry.name: entry for entry in validation}
    if dataset not in named:
        names = ", ".join(named)
        raise UsageError(f"--dataset {dataset}: not a data set of the run ({names}); for a folder give --mapping too")
    return [named[dataset]]


def _print_matrix(name: str, matrix: ConfusionMatrix) -> None:
    from train.report import format_matrix

    table = Table("", f"{name}, IoU %")
    for label, value in format_matrix(matrix):
        table.add_row(label, value)
    console.print(table)
    confusion = Table("truth \\ predicted", *CLASS_NAMES, title="pixels, % of the true class")
    for label, row in zip(CLASS_NAMES, matrix.counts, strict=True):
        confusion.add_row(label, *(f"{100 * count / max(int(row.sum()), 1):.2f}" for count in row))
    console.print(confusion)


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
