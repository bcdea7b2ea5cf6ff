"""Labelled pictures: which files belong together, and how raw label values become classes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import cv2
import numpy as np
import yaml
from numpy.typing import NDArray
from pydantic import Field, ValidationError, model_validator

from edgeseg.classes import CLASS_NAMES, IGNORE_INDEX
from edgeseg.errors import ConfigError, DataError, InputNotFoundError, explain
from edgeseg.fields import Part
from edgeseg.sources import PICTURE_SUFFIXES, is_folder
from edgeseg.sources.picture_file import check_picture_file

LABEL_SUFFIXES = (".png",)
#: Marks a raw value in the look-up tables that the mapping does not name.
_UNMAPPED = 254

ClassName = Literal["other", "road", "vehicle", "person", "ignore"]
Value = Annotated[int, Field(ge=0, le=0xFFFF)]
Color = Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")]


class LabelMapping(Part):
    """Which raw label values, or which colours, mean which class.

    Exactly one of `values` (pixels of one channel) and `colors` ("#rrggbb") is given. A data set whose files are named
    scene_leftImg8bit.png and scene_gtFine_labelIds.png pairs up by `image_suffix` and `label_suffix`.
    """

    name: Annotated[str, Field(min_length=1)]
    values: dict[ClassName, tuple[Value, ...]] | None = None
    colors: dict[ClassName, tuple[Color, ...]] | None = None
    image_suffix: str = ""
    label_suffix: str = ""

    @model_validator(mode="after")
    def _check(self) -> LabelMapping:
        if (self.values is None) == (self.colors is None):
            raise ValueError("give exactly one of `values` and `colors`")
        seen: dict[int, str] = {}
        for class_name, raw in self._codes():
            if raw in seen:
                raise ValueError(f"{self._show(raw)} is both {seen[raw]} and {class_name}")
            seen[raw] = class_name
        if not seen:
            raise ValueError("it maps nothing")
        return self

    @classmethod
    def load(cls, name_or_path: str | Path) -> LabelMapping:
        """Read a mapping by its shipped name (`camvid`) or from a YAML file.

        Raises InputNotFoundError when there is none, ConfigError when it is wrong.
        """
        path = Path(name_or_path)
        shipped = shipped_mappings()
        if str(name_or_path) in shipped:
            text = (resources.files("edgeseg") / "mappings" / f"{name_or_path}.yaml").read_text("utf-8")
        elif path.is_file():
            try:
                text = path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                raise ConfigError(f"{path}: cannot read the mapping: {error}") from error
        else:
            raise InputNotFoundError(
                f"{name_or_path}: no such mapping file; give a YAML file or one of {', '.join(shipped)}"
            )
        return cls.parse(text, str(name_or_path))

    @classmethod
    def parse(cls, text: str, name: str) -> LabelMapping:
        """Read a mapping from YAML; `name` is what errors call it."""
        try:
            return cls.model_validate(yaml.safe_load(text))
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            where = ".".join(str(part) for part in first["loc"] if part != "[key]")
            raise ConfigError(
                f"{name}: wrong label mapping{f' at {where}' if where else ''}: {first['msg']}"
            ) from error
        except (yaml.YAMLError, ValueError) as error:  # a date that there is not is a ValueError
            mark = getattr(error, "problem_mark", None)
            line = f", line {mark.line + 1}" if mark else ""
            problem = getattr(error, "problem", None) or "cannot be parsed"
            raise ConfigError(f"{name}{line}: not valid YAML: {problem}") from error

    def apply(self, raw: NDArray[Any], name: str = "label") -> NDArray[np.uint8]:
        """Turn raw labels into classes: (H, W) uint8 of class indices, IGNORE_INDEX where ignored.

        raw: as cv2.imread(path, IMREAD_UNCHANGED) gives it. Raises DataError that names `name` and the values or
        colours that the mapping does not know.
        """
        codes = self._encode(raw, name)
        table = self._table
        if int(codes.max(initial=0)) >= len(table):
            classes = np.full(codes.shape, _UNMAPPED, np.uint8)
            known = codes < len(table)
            classes[known] = table[codes[known]]
        else:
            classes = table[codes]
        unmapped = classes == _UNMAPPED
        if unmapped.any():
            found, counts = np.unique(codes[unmapped], return_counts=True)
            order = np.argsort(-counts, kind="stable")
            shown = ", ".join(self._show(int(found[i])) for i in order[:5]) + (", ..." if len(found) > 5 else "")
            raise DataError(
                f"{name}: {int(unmapped.sum())} pixels hold {shown}, which the mapping '{self.name}' does not name; "
                "add them to a class or to ignore"
            )
        return classes

    def _encode(self, raw: NDArray[Any], name: str) -> NDArray[Any]:
        """One integer per pixel: the value itself, or the colour as 0xrrggbb."""
        channels = raw.shape[2] if raw.ndim == 3 else 1
        if self.values is not None:
            if channels == 1:
                return raw.reshape(raw.shape[:2])
            # A grey picture saved with three channels is still a picture of values.
            if np.array_equal(raw[..., 0], raw[..., 1]) and np.array_equal(raw[..., 0], raw[..., 2]):
                return raw[..., 0]
            raise DataError(
                f"{name}: a colour picture (or one with a palette), but the mapping '{self.name}' lists values; "
                "map `colors` instead"
            )
        if channels < 3 or raw.dtype != np.uint8:
            raise DataError(
                f"{name}: {channels} channel(s) of {raw.dtype}, but the mapping '{self.name}' lists colours; "
                "map `values` instead"
            )
        wide = raw.astype(np.int32)
        return (wide[..., 2] << 16) | (wide[..., 1] << 8) | wide[..., 0]

    def _codes(self) -> Iterator[tuple[str, int]]:
        for class_name, values in (self.values or {}).items():
            for value in values:
                yield class_name, value
        for class_name, colors in (self.colors or {}).items():
            for color in colors:
                yield class_name, int(color[1:], 16)

    def _show(self, raw: int) -> str:
        return f"#{raw:06x}" if self.colors is not None else f"value {raw}"

    @cached_property
    def _table(self) -> NDArray[np.uint8]:
        codes = {raw: class_name for class_name, raw in self._codes()}
        table = np.full(1 << 24 if self.colors is not None else max(codes) + 1, _UNMAPPED, np.uint8)
        for raw, class_name in codes.items():
            table[raw] = IGNORE_INDEX if class_name == "ignore" else CLASS_NAMES.index(class_name)
        return table


def shipped_mappings() -> tuple[str, ...]:
    """The names of the mappings that come with edgeseg."""
    folder = resources.files("edgeseg") / "mappings"
    return tuple(sorted(item.name[:-5] for item in folder.iterdir() if item.name.endswith(".yaml")))


@dataclass(frozen=True, slots=True, order=True)
class Pair:
    """A picture and its mask; `stem` is the name they share, with the subfolder."""

    stem: str
    image: Path
    label: Path


def scan_pairs(
    images_dir: Path, labels_dir: Path, image_suffix: str = "", label_suffix: str = ""
) -> tuple[list[Pair], list[str]]:
    """Match pictures with masks by stem, subfolders included: the pairs, and one line for each file left over.

    Raises InputNotFoundError when a folder does not exist.
    """
    problems: list[str] = []
    images = _by_stem(images_dir, PICTURE_SUFFIXES, image_suffix, problems)
    labels = _by_stem(labels_dir, LABEL_SUFFIXES, label_suffix, problems)
    for stem in sorted(images.keys() - labels.keys()):
        problems.append(f"{images[stem]}: has no mask {labels_dir / (stem + label_suffix)}.png")
    kinds = ", ".join(PICTURE_SUFFIXES)
    for stem in sorted(labels.keys() - images.keys()):
        problems.append(f"{labels[stem]}: has no picture {images_dir / (stem + image_suffix)} ({kinds})")
    return [Pair(stem, images[stem], labels[stem]) for stem in sorted(images.keys() & labels.keys())], problems


def find_pairs(images_dir: Path, labels_dir: Path, mapping: LabelMapping | None = None) -> list[Pair]:
    """All pairs of two folders, sorted. Raises DataError when there are none or when a file has no partner."""
    suffixes = (mapping.image_suffix, mapping.label_suffix) if mapping else ("", "")
    pairs, problems = scan_pairs(images_dir, labels_dir, *suffixes)
    if problems:
        more = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
        raise DataError(problems[0] + more)
    if not pairs:
        raise DataError(
            f"{images_dir}: holds no pictures ({', '.join(PICTURE_SUFFIXES)}); give the folder of the pictures"
        )
    return pairs


def read_pair(pair: Pair, mapping: LabelMapping) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """A picture (H, W, 3) uint8 BGR and its classes (H, W) uint8 with IGNORE_INDEX.

    Raises DataError that names the file when one cannot be read, the sizes differ or a label value is not mapped.
    """
    image = read_image(pair.image)
    label = mapping.apply(_imread(pair.label, cv2.IMREAD_UNCHANGED), str(pair.label))
    if label.shape != image.shape[:2]:
        raise DataError(
            f"{pair.label}: the mask is {label.shape[1]}x{label.shape[0]} but its picture {pair.image} is "
            f"{image.shape[1]}x{image.shape[0]}; they must have one size"
        )
    return image, label


def read_image(path: Path) -> NDArray[np.uint8]:
    """A picture file as (H, W, 3) uint8 BGR; alpha is dropped, 16 bits become 8.

    Raises DataError, which names the file, for one that is damaged or larger than a small board's memory takes.
    """
    return _imread(path, cv2.IMREAD_COLOR)


def _imread(path: Path, flags: int) -> NDArray[Any]:
    check_picture_file(path)
    try:
        data = np.fromfile(path, np.uint8)
    except FileNotFoundError as error:
        raise InputNotFoundError(f"{path}: no such picture") from error
    except OSError as error:
        raise DataError(f"{path}: cannot read the picture: {explain(error)}") from error
    if not data.size:
        raise DataError(f"{path}: the picture file is empty")
    try:
        decoded = cv2.imdecode(data, flags)
    except cv2.error:
        decoded = None
    if decoded is None:
        raise DataError(f"{path}: not a readable picture (damaged, cut off or another format)")
    return decoded


def _by_stem(folder: Path, suffixes: tuple[str, ...], ending: str, problems: list[str]) -> dict[str, Path]:
    if not is_folder(folder):
        raise InputNotFoundError(f"{folder}: no such folder")
    found: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in suffixes or not path.stem.endswith(ending):
            continue
        stem = str(path.relative_to(folder).with_suffix(""))[: -len(ending) or None]
        if stem in found:
            problems.append(f"{path}: has the same name as {found[stem].name}; keep one of them")
        else:
            found[stem] = path
    return found
