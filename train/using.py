"""The commands that use a network: evaluate, robustness, pseudo-label, explain."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from edgeseg.classes import CLASS_NAMES
from edgeseg.errors import EdgesegError, UsageError
from edgeseg.hand_over import RECIPE_NAME
from edgeseg.iou import none_if_nan
from train.config import DatasetEntry, load_recipe
from train.datasets import Dataset, describe_dataset
from train.run_folder import RunFolder
from train.terminal import DataOption, console, print_matrix

if TYPE_CHECKING:
    from train.evaluate import Views


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
        predict = make_true(predict, _open_to_scale(recipe.validation))
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
        print_matrix(name, matrix)


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


def pseudo_label(
    clips: Annotated[list[Path], typer.Argument(help="videos, or folders of pictures, of drives without labels")],
    model: Annotated[Path, typer.Option(help="the teacher: a run folder, or a .keras with its card.json beside it")],
    out: Annotated[Path, typer.Option("--out", help="the dataset folder to make")],
    every: Annotated[int, typer.Option(min=1, help="label one of so many frames")] = 10,
    sure: Annotated[
        list[str] | None,
        typer.Option(
            metavar="[CLASS=]P", help="the least probability of a labelled pixel, of all classes or one (default: 0.9)"
        ),
    ] = None,
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
    from train.pseudo_label import Conditions, label_clips, read_sure, recipe_entry

    conditions = Conditions(_read_views(scales, flip), every, read_sure(sure or ()), neighbours, least)
    teacher = load_network(model)
    # What `unpack` made is no run, and its scores are true.
    folder = teacher.path.parent
    scaled = (folder / RECIPE_NAME).is_file() and not as_trained
    entries = RunFolder.open(folder)[1].validation if scaled else ()
    columns = TextColumn("{task.description}"), TextColumn("{task.fields[kept]} of {task.completed} pictures kept")
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=None, kept=0)
        found = label_clips(
            clips,
            teacher,
            out,
            conditions,
            _open_to_scale(entries),
            lambda name, seen, kept: progress.update(task, description=name, completed=seen, kept=kept),
        )
    table = Table("class", "% of the pixels", title=f"{found.kept} of {found.seen} pictures kept")
    for name, share in found.shares().items():
        table.add_row(name, f"{100 * share:.2f}")
    console.print(table)
    print(f"to mix it in, a line for the recipe's datasets:\n{recipe_entry(out.absolute(), teacher)}")


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


def _open_to_scale(entries: Sequence[DatasetEntry]) -> list[Dataset]:
    """The validation sets of a run. What they raise tells what they are needed for."""
    try:
        return [Dataset.open(entry) for entry in entries]
    except EdgesegError as error:
        raise type(error)(f"{error}; the scores are scaled on it, unless you give --as-trained") from error


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
