"""The commands that make a network: check, fit, average, unpack, report."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from edgeseg.classes import CLASS_NAMES
from edgeseg.errors import DataError, UsageError
from edgeseg.hand_over import find_damage
from train.config import Teacher, load_recipe
from train.datasets import find_shared, inspect_dataset
from train.run_folder import RunFolder
from train.terminal import DataOption, console, print_matrix

RecipeArgument = Annotated[str, typer.Argument(help="the name of one of train/recipes (nano_base, …) or a YAML file")]
SetOption = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="a field of the recipe: optimizer.lr=1e-3, datasets.camvid.weight=0.5"
    ),
]


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
        print_matrix(name, matrix)


def average(
    runs: Annotated[list[Path], typer.Argument(help="run folders of one recipe, by different seeds")],
    out: Annotated[Path, typer.Option("--out", help="the run folder to make")],
    with_start: Annotated[
        bool, typer.Option("--with-start", help="of the network that they started from, too; then one run is enough")
    ] = False,
) -> None:
    """Make one network of several runs of a recipe: the average of their weights. Compare it with each."""
    from train.average import average_runs

    for name, matrix in average_runs(runs, out, with_start=with_start).items():
        print_matrix(name, matrix)


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


def report(run: Annotated[Path, typer.Argument(help="a run folder")]) -> None:
    """Draw a run's curves, confusion matrices and predictions again."""
    from train.report import write_report

    folder, recipe = RunFolder.open(run)
    for name, matrix in write_report(folder, recipe).items():
        print_matrix(name, matrix)
