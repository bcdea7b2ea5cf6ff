"""A recipe: one YAML file that says everything a training run depends on."""

from __future__ import annotations

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from edgeseg.errors import ConfigError, InputNotFoundError
from edgeseg.fields import Part, parse_size
from edgeseg.model_card import Factor
from edgeseg.splits import GroupSplit
from train.overrides import override

SHIPPED_RECIPES = Path(__file__).parent / "recipes"


def _read_size(value: Any) -> Any:
    """'480x352' (width x height, as people write it) becomes (352, 480), as arrays have it; the rest stays."""
    return parse_size(value)[::-1] if isinstance(value, str) else value


# The encoder's deepest stride: a fractional feature map would be resized to another place than it came from.
Side = Annotated[int, Field(ge=32, le=4096, multiple_of=32)]
Size = Annotated[tuple[Side, Side], BeforeValidator(_read_size)]
Ratio = Annotated[float, Field(ge=0.0, le=1.0)]
Strength = Annotated[float, Field(ge=0.0, le=3.0)]
Zoom = Annotated[float, Field(ge=0.05, le=20)]
Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
ForegroundName = Literal["road", "vehicle", "person"]


class DatasetEntry(Part):
    """A folder with images/ and labels/, how its raw labels map to classes, and how often training draws from it.

    weight and stretch are for training, and refused for a validation set. stretch: by how much the width of its
    pictures must be stretched for things to have their true proportions, which they then have in training too, but for
    what `aspect` varies. Without it a whole picture has the input's proportions, as a camera's picture has on the
    device.
    """

    name: Annotated[str, Field(min_length=1)]
    root: Path
    mapping: str
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    stretch: Annotated[float, Field(gt=0.2, lt=5)] | None = None
    split: GroupSplit | None = None
    licence: str = "unknown"


def _refuse_training_fields(entry: DatasetEntry) -> DatasetEntry:
    """Raises ValueError for what only training does with a data set: every picture is judged once, as it is."""
    # By the values: the recipe in a run folder names every field, with its default.
    for name in ("weight", "stretch"):
        if getattr(entry, name) != DatasetEntry.model_fields[name].default:
            raise ValueError(f"`{name}` is for training and does nothing under `validation`; leave it out there")
    return entry


ValidationEntry = Annotated[DatasetEntry, AfterValidator(_refuse_training_fields)]


class Pretrained(Part):
    """Weights to start from: the file, what it was learnt from and where it comes from, and its licence.

    path: the .npz of a published encoder, or the best.keras of an earlier run of the same architecture, all of which is
    taken (first on much data, then on what matters). partial: of a best.keras of another architecture, the layers of
    equal name and shape are taken, and the others start anew. source and licence are told in the card of every network
    that starts from it.
    """

    path: Path
    source: Annotated[str, Field(min_length=1)]
    licence: Annotated[str, Field(min_length=1)]
    partial: bool = False

    @model_validator(mode="after")
    def _check(self) -> Pretrained:
        if self.partial and self.path.suffix != ".keras":
            raise ValueError(f"`partial` is for the best.keras of a run, and {self.path.name} is none")
        return self


class Teacher(Part):
    """A trained network whose scores a run learns beside the labels: a .keras file with its card.json beside it.

    weight: of what the teacher says against what the labels say. temperature: both networks' scores are divided by it,
    so that more is learnt than which class is best.
    """

    model: Path
    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    temperature: Annotated[float, Field(ge=1, le=20)] = 2.0

    @model_validator(mode="after")
    def _check(self) -> Teacher:
        if self.model.suffix != ".keras":
            raise ValueError(f"{self.model.name} is no .keras file (a .tflite takes one size and one picture only)")
        return self


class Augmentation(Part):
    """How a picture is varied; the `*_p` are probabilities per picture.

    scale: zoom against the size the device would see. aspect: the largest stretch of either side, so that one model
    serves 4:3 and 16:9 cameras. focus: the share of crops that are made to hold a pixel of the class. corruption_p: the
    share of pictures that suffer from one kind of train/corruptions.py, at a strength within corruption_strength,
    instead of the milder blur, noise, low light, haze, rain and JPEG. corrupt_whole: before they are cut and resized,
    as the camera took them, and as `python -m train robustness` does; otherwise the crop is the picture that suffers.
    """

    scale: tuple[Zoom, Zoom] = (0.5, 2.0)
    aspect: Annotated[float, Field(ge=1.0, le=2.0)] = 1.3
    focus: dict[ForegroundName, Ratio] = Field(default_factory=dict)
    flip_p: Ratio = 0.5
    color_p: Ratio = 0.8
    blur_p: Ratio = 0.15
    noise_p: Ratio = 0.15
    low_light_p: Ratio = 0.08
    haze_p: Ratio = 0.06
    rain_p: Ratio = 0.04
    jpeg_p: Ratio = 0.1
    corruption_p: Ratio = 0.0
    corruption_strength: tuple[Strength, Strength] = (0.3, 2.5)
    corrupt_whole: bool = False

    @model_validator(mode="after")
    def _check(self) -> Augmentation:
        if self.corruption_strength[0] > self.corruption_strength[1]:
            raise ValueError("`corruption_strength` is the weakest and the strongest, in this order")
        if self.scale[0] > self.scale[1]:
            raise ValueError("`scale` is the smallest and the largest, in this order")
        if self.corrupt_whole and not self.corruption_p:
            raise ValueError("`corrupt_whole` does nothing without a `corruption_p`")
        return self


class Loss(Part):
    """Class-balanced cross entropy plus Dice and Lovász.

    balance: the power of 1/share that weights a class in the cross entropy (0: none).
    boundary: how much more a pixel weighs where two classes meet, which is most of a small person (0: no more).
    auxiliary: the weight of the same loss on what a head that is not saved says of the encoder's features (0: none).
    """

    balance: Ratio = 0.4
    boundary: Annotated[float, Field(ge=0, le=20)] = 0.0
    auxiliary: Annotated[float, Field(ge=0, le=5)] = 0.0
    dice: Amount = 1.0
    lovasz: Amount = 0.0
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0


class Optimizer(Part):
    """AdamW with linear warm-up and cosine decay to `final_lr_ratio`; ema is the decay of the weights' average."""

    lr: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 2e-3
    weight_decay: Amount = 1e-2
    warmup_epochs: Amount = 1.0
    final_lr_ratio: Ratio = 0.01
    clip_norm: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0
    ema: Annotated[float, Field(ge=0, lt=1)] = 0.997


class Recipe(Part):
    """Everything a training run depends on, but for the machine.

    freeze: down to this stride the encoder keeps the weights and the statistics that it starts with, which takes less
    time. dropout: the share of the last features that training leaves out; without it, the architecture's own.
    """

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]
    architecture: str = "nano"
    width: Factor = 1.0
    depth: Factor = 1.0
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    pretrained: Pretrained | None = None
    freeze: Literal[2, 4, 8, 16, 32] | None = None
    teacher: Teacher | None = None
    input_size: Size = (352, 480)
    crop_size: Size | None = None
    seed: Annotated[int, Field(ge=0)] = 0
    epochs: Annotated[int, Field(ge=1)]
    steps_per_epoch: Annotated[int, Field(ge=1)]
    batch_size: Annotated[int, Field(ge=2)] = 8
    early_stop_epochs: Annotated[int, Field(ge=1)] | None = None
    workers: Annotated[int, Field(ge=1, le=64)] = 2
    datasets: Annotated[tuple[DatasetEntry, ...], Field(min_length=1)]
    validation: Annotated[tuple[ValidationEntry, ...], Field(min_length=1)]
    augmentation: Augmentation = Augmentation()
    loss: Loss = Loss()
    optimizer: Optimizer = Optimizer()
    licence: str = "unknown"

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        for entries in (self.datasets, self.validation):
            names = [entry.name for entry in entries]
            if len(set(names)) != len(names):
                raise ValueError(f"data sets need names of their own, got {', '.join(names)}")
        if self.freeze is not None and self.pretrained is None:
            raise ValueError("`freeze` keeps what a network starts with: name it under `pretrained`")
        return self

    def differences(self, other: Recipe) -> list[str]:
        """The names of the fields in which two recipes differ, wherever their files lie and whoever reads them."""
        nowhere = Path()

        def placeless(recipe: Recipe) -> Recipe:
            def move(entry: DatasetEntry) -> DatasetEntry:
                return entry.model_copy(update={"root": nowhere, "mapping": Path(entry.mapping).name})

            start, teacher = recipe.pretrained, recipe.teacher
            return recipe.model_copy(
                update={
                    "datasets": tuple(map(move, recipe.datasets)),
                    "validation": tuple(map(move, recipe.validation)),
                    "pretrained": start and start.model_copy(update={"path": nowhere}),
                    "teacher": teacher and teacher.model_copy(update={"model": nowhere}),
                }
            )

        one, two = placeless(self), placeless(other)
        return [name for name in Recipe.model_fields if name != "workers" and getattr(one, name) != getattr(two, name)]

    @property
    def train_hw(self) -> tuple[int, int]:
        """The size of the training crops, (height, width)."""
        return self.crop_size or self.input_size


def load_recipe(name_or_path: str | Path, data_root: Path | None = None, settings: Iterable[str] = ()) -> Recipe:
    """Reads a recipe by its shipped name (`nano`) or path; relative data paths start at `data_root`.

    Without `data_root` they start at the recipe's own folder. settings: KEY=VALUE, as train/overrides.py explains.
    Raises InputNotFoundError when there is no such file and
    ConfigError, one line for each wrong key, when it is wrong.
    """
    path = Path(name_or_path)
    if not path.is_file():
        shipped = SHIPPED_RECIPES / f"{name_or_path}.yaml"
        if not shipped.is_file():
            names = ", ".join(sorted(item.stem for item in SHIPPED_RECIPES.glob("*.yaml")))
            raise InputNotFoundError(f"{name_or_path}: no such recipe; give a YAML file or one of {names}")
        path = shipped
    root = (data_root or path.parent).absolute()
    try:
        raw = yaml.safe_load(path.read_text("utf-8"))
        if isinstance(raw, dict):
            # Where YAML's alias makes one entry of both, what is set under `datasets` is not set under `validation`.
            raw = {key: copy.deepcopy(value) for key, value in raw.items()}
            override(raw, settings)
        recipe = Recipe.model_validate(raw)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(str(part) for part in item['loc']) or 'recipe'}: {item['msg']}"
            for item in error.errors(include_url=False)
        )
        raise ConfigError(f"{path}: {problems}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot read the recipe: {error}") from error
    except (yaml.YAMLError, ValueError) as error:  # a date that there is not is a ValueError
        mark = getattr(error, "problem_mark", None)
        raise ConfigError(f"{path}{f', line {mark.line + 1}' if mark else ''}: not valid YAML") from error

    def rooted(entry: DatasetEntry) -> DatasetEntry:
        mapping = entry.mapping
        if mapping.endswith((".yaml", ".yml")):
            mapping = str(path.parent.absolute() / mapping)
        return entry.model_copy(update={"root": root / entry.root, "mapping": mapping})

    return recipe.model_copy(
        update={
            "datasets": tuple(rooted(entry) for entry in recipe.datasets),
            "validation": tuple(rooted(entry) for entry in recipe.validation),
            "pretrained": recipe.pretrained
            and recipe.pretrained.model_copy(update={"path": root / recipe.pretrained.path}),
            "teacher": recipe.teacher and recipe.teacher.model_copy(update={"model": root / recipe.teacher.model}),
        }
    )
