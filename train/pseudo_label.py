"""Masks for videos that nobody labelled: what a trained network is sure of, and nothing else.

A pixel gets a class where all views of the picture (scales, mirrored) agree on it, their mean is sure of it, and the
frames before and after say the same of the place that moved there. All other pixels are ignored. Learning from one's
own sure answers is pseudo-labelling (Lee 2013, ICML workshop); agreement over views and frames is what tells a sure
answer from a sure error (Radosavovic et al. 2018, arXiv:1712.04440, on views).
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from edgeseg.classes import CLASS_NAMES, IGNORE_INDEX
from edgeseg.errors import InputNotFoundError, SinkUnavailableError, UsageError, explain
from edgeseg.fusion import decide, fuse_views, log_softmax
from edgeseg.labels import read_image
from edgeseg.scaling import Scaling
from edgeseg.sources import Source, open_source
from train.datasets import Dataset
from train.evaluate import Views, make_predictor, make_viewer, scale_scores
from train.network_file import TrainedNetwork
from train.run_folder import replace_file

Image = NDArray[np.uint8]

#: Says what the dataset was made of; until it is complete, without what came out.
NOTE_NAME = "pseudo.json"
#: Larger pictures are stored smaller: no recipe looks at them so closely.
MAX_SIDE = 960
#: Optical flow is found at this height: enough for what moves, a tenth of the time.
FLOW_HEIGHT = 240
#: The least probability of a labelled pixel, in the order of CLASS_NAMES.
SURE = (0.9,) * len(CLASS_NAMES)
#: Frames between a picture and the neighbours it is compared with: far enough for noise and light to differ.
NEIGHBOUR_GAP = 2


@dataclass(frozen=True)
class Conditions:
    """When a pixel is labelled, and a picture kept.

    every: of how many frames one is labelled. sure: of each class the least probability of the views' mean, which is
    one where the teacher's scores are scaled. neighbours: whether the frames before and after must agree; not for
    pictures of different places. least: the least share of a picture's pixels that must have got a class.
    """

    views: Views = field(default_factory=lambda: Views((0.75, 1.0, 1.25), flip=True))
    every: int = 10
    sure: tuple[float, ...] = SURE
    neighbours: bool = True
    least: float = 0.3

    def __post_init__(self) -> None:
        if self.every < 1 or not all(0 < sure < 1 for sure in self.sure) or not 0 <= self.least <= 1:
            raise UsageError(
                f"every must be at least 1, sure above 0 and below 1, least 0 to 1; got {self.every}, "
                f"{', '.join(map(str, self.sure))}, {self.least}"
            )


@dataclass
class Yield:
    """What came out: pictures looked at and kept, pixels of the kept ones by class (the last: ignored)."""

    seen: int
    kept: int
    pixels: NDArray[np.int64]

    def shares(self) -> dict[str, float]:
        """The share of the kept pictures' pixels by class, and of what is ignored."""
        total = max(int(self.pixels.sum()), 1)
        return {name: int(count) / total for name, count in zip((*CLASS_NAMES, "ignored"), self.pixels, strict=True)}


def read_sure(given: Sequence[str]) -> tuple[float, ...]:
    """The least probability of each class: SURE, changed by what is `given`, `0.8` for all or `person=0.5` for one.

    Raises UsageError for what is neither.
    """
    sure = dict(zip(CLASS_NAMES, SURE, strict=True))
    # Those of all classes first, wherever they stand.
    for text in sorted(given, key=lambda text: "=" in text):
        name, equals, number = text.rpartition("=")
        try:
            found = dict.fromkeys([name] if equals else CLASS_NAMES, float(number))
        except ValueError as error:
            raise UsageError(f"--sure {text}: write a number, or CLASS=NUMBER such as person=0.5") from error
        if equals and name not in sure:
            raise UsageError(f"--sure {text}: '{name}' is not one of {', '.join(CLASS_NAMES)}")
        sure |= found
    return tuple(sure.values())


def agree(views: Sequence[NDArray[np.float32]], neighbours: Sequence[Image], sure: Sequence[float]) -> Image:
    """The class of each pixel on which everything agrees, IGNORE_INDEX elsewhere; (H, W) uint8.

    views: scores (H, W, C) of one picture. neighbours: the classes that other frames have at each of its pixels, (H, W)
    uint8, IGNORE_INDEX where they do not show it. sure: the least probability of each of the C classes.
    """
    logs = [log_softmax(view) for view in views]
    fused = fuse_views(logs)
    ids, confidence = decide(fused)
    kept = confidence >= 255 * np.asarray(sure, np.float32)[ids]
    for log in logs:
        kept &= decide(log)[0] == ids
    for other in neighbours:
        kept &= (other == ids) | (other == IGNORE_INDEX)
    return np.where(kept, ids, IGNORE_INDEX).astype(np.uint8)


def carry(ids: Image, image: Image, other_image: Image) -> Image:
    """The classes `ids` (H, W) of another frame, brought to where their things are in `image`; IGNORE_INDEX outside.

    Dense optical flow of Farnebäck 2003 ("Two-frame motion estimation based on polynomial expansion"), from the picture
    to the other frame, so that every pixel of the picture has a place to look at.
    """
    height, width = ids.shape
    small = (max(1, round(width * FLOW_HEIGHT / height)), FLOW_HEIGHT)
    one, other = (
        cv2.cvtColor(cv2.resize(item, small, interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
        for item in (image, other_image)
    )
    flow = cv2.calcOpticalFlowFarneback(one, other, None, 0.5, 4, 21, 3, 7, 1.5, 0)
    flow = cv2.resize(flow, (width, height), interpolation=cv2.INTER_LINEAR)
    rows, columns = np.mgrid[0:height, 0:width].astype(np.float32)
    return np.asarray(
        cv2.remap(
            ids,
            columns + flow[..., 0] * (width / small[0]),
            rows + flow[..., 1] * (height / small[1]),
            cv2.INTER_NEAREST,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=IGNORE_INDEX,
        ),
        np.uint8,
    )


def label_clips(
    clips: Sequence[Path],
    teacher: TrainedNetwork,
    out: Path,
    conditions: Conditions,
    validation: Sequence[Dataset] = (),
    on_progress: Callable[[str, int, int], None] | None = None,
) -> Yield:
    """Writes `out`/images and `out`/labels, a dataset for the mapping `edgeseg`, and `out`/pseudo.json about it.

    clips: video files or folders of pictures. validation: the teacher's, on which its scores are scaled; none for a
    network whose scores are true, like a released one's. The stems are CLIP_NUMBER, so a recipe can hold out whole
    clips. on_progress: called with the clip's name, pictures seen and kept. What was labelled before a kill stays:
    called as before, it goes on with the rest. Raises UsageError when two clips have one stem or `out` holds another
    dataset already, SinkUnavailableError when it cannot be written, and what the sources and data sets raise.
    """
    stems = [clip.resolve().stem for clip in clips]
    if twice := sorted({stem for stem in stems if stems.count(stem) > 1}):
        raise UsageError(f"two clips are called {', '.join(twice)}; their pictures would have one name: rename one")
    for clip in clips:
        if not clip.exists():
            raise InputNotFoundError(f"{clip}: no such video or folder of pictures")
    scaling = Scaling.none(len(CLASS_NAMES))
    if validation:
        scaling = scale_scores(make_predictor(teacher.model, teacher.input_hw), validation)
    note = _describe(clips, teacher, conditions, scaling)
    folders = _make_folders(out, note)
    look, glance = (make_viewer(teacher.model, teacher.input_hw, views) for views in (conditions.views, Views()))
    found = Yield(0, 0, np.zeros(len(CLASS_NAMES) + 1, np.int64))
    for clip, stem in zip(clips, stems, strict=True):
        for number, image, neighbours in _list_pictures(clip, conditions):
            mask_file = folders["labels"] / f"{stem}_{number:06}.png"
            if mask_file.exists():
                label = read_image(mask_file)[..., 0]
            else:
                carried = [carry(decide(scaling.apply(glance(other)[0]))[0], image, other) for other in neighbours]
                label = agree([scaling.apply(view) for view in look(image)], carried, conditions.sure)
            found.seen += 1
            counts = np.bincount(label.ravel(), minlength=256)
            if counts[: len(CLASS_NAMES)].sum() >= conditions.least * label.size:
                found.kept += 1
                found.pixels += [*counts[: len(CLASS_NAMES)], counts[IGNORE_INDEX]]
                if not mask_file.exists():
                    # The mask last: a picture that has one is done.
                    _write_picture(folders["images"] / f"{mask_file.stem}.jpg", image)
                    _write_picture(mask_file, label)
            if on_progress is not None:
                on_progress(stem, found.seen, found.kept)
    shares = {name: round(share, 5) for name, share in found.shares().items()}
    _write_note(out, {**note, "pictures": {"seen": found.seen, "kept": found.kept}, "shares": shares})
    return found


def recipe_entry(out: Path, teacher: TrainedNetwork, weight: float = 0.1) -> str:
    """The line of a recipe that mixes the dataset in with a low weight."""
    licence = f"labels made by {teacher.card.name} ({teacher.card.licence or 'licence not stated'})"
    entry = {"name": "pseudo", "root": str(out), "mapping": "edgeseg", "weight": weight, "licence": licence}
    return "- " + json.dumps(entry)


def _list_pictures(clip: Path, conditions: Conditions) -> Iterator[tuple[int, Image, list[Image]]]:
    """Every `every`-th frame: its number, the picture, and the frames before and after it as far as there are any."""
    gap = NEIGHBOUR_GAP if conditions.neighbours else 0
    window: deque[tuple[int, Image] | None] = deque([None] * (2 * gap + 1), maxlen=2 * gap + 1)
    with open_source(str(clip.absolute()), live=False) as source:
        # A picture comes out `gap` frames late, so that the one after it is there; the last ones after the end.
        for item in chain(enumerate(_read_all(source)), [None] * gap):
            window.append(item)
            chosen = window[gap]
            if chosen is not None and chosen[0] % conditions.every == 0:
                ends = (window[0], window[-1]) if gap else ()
                # What has another size is no picture of the same drive.
                yield *chosen, [end[1] for end in ends if end is not None and end[1].shape == chosen[1].shape]


def _read_all(source: Source) -> Iterator[Image]:
    while (frame := source.read()) is not None:
        yield _shrink(frame.image)


def _shrink(image: NDArray[np.uint8]) -> Image:
    height, width = image.shape[:2]
    scale = MAX_SIDE / max(height, width)
    if scale >= 1:
        return image.copy()
    size = max(1, round(width * scale)), max(1, round(height * scale))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def _make_folders(out: Path, note: dict[str, Any]) -> dict[str, Path]:
    """The folders of pictures and masks: new ones, or those of the same work, which was not ended."""
    folders = {name: out / name for name in ("images", "labels")}
    try:
        for folder in folders.values():
            folder.mkdir(parents=True, exist_ok=True)
        if (begun := _read_note(out)) is None:
            for folder in folders.values():
                if any(folder.iterdir()):
                    raise UsageError(f"{folder}: holds something already; give an --out of its own")
        elif begun != note:
            done = "a finished dataset" if "pictures" in begun else "what other clips, options or another teacher began"
            raise UsageError(f"{out}: holds {done}; give an --out of its own")
    except OSError as error:
        raise SinkUnavailableError(f"{out}: cannot hold a dataset: {explain(error)}; choose another --out") from error
    _write_note(out, note)
    return folders


def _write_picture(path: Path, picture: NDArray[Any]) -> None:
    quality = [cv2.IMWRITE_JPEG_QUALITY, 92] if path.suffix == ".jpg" else []  # a PNG has none, and OpenCV complains
    done, data = cv2.imencode(path.suffix, picture, quality)
    assert done  # an encoder that fails on an array in memory is a bug, not an input
    replace_file(path, lambda stream: stream.write(data.tobytes()))


def _describe(
    clips: Sequence[Path], teacher: TrainedNetwork, conditions: Conditions, scaling: Scaling
) -> dict[str, Any]:
    """What the work is of, by which it is known again."""
    return {
        "teacher": {
            "name": teacher.card.name,
            "training_sha256": teacher.card.training_sha256,
            "licence": teacher.card.licence,
            "temperature": scaling.temperature,
            "offsets": list(scaling.offsets),
        },
        "clips": [clip.name for clip in clips],
        # Another clip of the same name is told by it.
        "sizes": [sum(1 for _ in clip.iterdir()) if clip.is_dir() else clip.stat().st_size for clip in clips],
        "conditions": {
            "scales": list(conditions.views.scales),
            "flip": conditions.views.flip,
            "every": conditions.every,
            "sure": list(conditions.sure),
            "neighbours": conditions.neighbours,
            "least": conditions.least,
        },
    }


def _read_note(out: Path) -> dict[str, Any] | None:
    """What pseudo.json says; None when there is none. Raises UsageError for something else of that name."""
    path = out / NOTE_NAME
    if not path.exists():
        return None
    try:
        note = json.loads(path.read_text("utf-8"))
    except ValueError:
        note = None
    if not isinstance(note, dict):
        raise UsageError(f"{path}: is no note of ours; give an --out of its own")
    return note


def _write_note(out: Path, note: dict[str, Any]) -> None:
    replace_file(out / NOTE_NAME, lambda stream: stream.write((json.dumps(note, indent=2) + "\n").encode()))
