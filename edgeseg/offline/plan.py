"""What is to be done: which inputs there are, what their outputs are called, and which are finished already."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from edgeseg.errors import InputNotFoundError, explain
from edgeseg.redact import redact
from edgeseg.sources import PICTURE_SUFFIXES, VIDEO_SUFFIXES, is_folder
from edgeseg.sources.pictures import list_pictures

Kind = Literal["video", "picture", "pictures"]

#: Holds the record of every finished input; hidden, for it is ours and not a result.
RECORDS = ".edgeseg"
#: Ends the name of the folder of an unfinished input; JOB in it says whose it is.
PARTIAL = ".partial"
JOB = "job.json"
RECORD_VERSION = 3


@dataclass(frozen=True, slots=True)
class Item:
    """One input and what its outputs are called: NAME.overlay.mp4, NAME.jsonl, NAME.masks/ and so on."""

    path: Path
    kind: Kind
    name: str
    outputs: frozenset[Path] = frozenset()
    """Files of earlier runs, which are no part of a folder of pictures though they may lie in it."""

    @property
    def pictures(self) -> list[Path]:
        """The picture files of it, in order; none for a video."""
        if self.kind == "pictures":
            return [path for path in list_pictures(self.path) if path.resolve() not in self.outputs]
        return [self.path] if self.kind == "picture" else []

    def overlay(self, out: Path) -> Path:
        """The overlay: a video, a picture or a folder of pictures, as the input is."""
        return out / (
            self.name + {"video": ".overlay.mp4", "picture": ".overlay.jpg", "pictures": ".overlay"}[self.kind]
        )

    def masks(self, out: Path) -> Path:
        """A folder of masks, one file for a single picture."""
        return out / (self.name + (".mask.png" if self.kind == "picture" else ".masks"))

    def records(self, out: Path) -> Path:
        return out / (self.name + ".jsonl")

    def events(self, out: Path) -> Path:
        return out / (self.name + ".events.jsonl")

    def partial(self, out: Path) -> Path:
        """The folder that holds what there is of an unfinished input."""
        return out / (self.name + PARTIAL)

    def record(self, out: Path) -> Path:
        """What is noted of a finished input."""
        return out / RECORDS / (self.name + ".json")


@dataclass(slots=True)
class Plan:
    """What there is to do, an error for each input that is not there, and the inputs that are outputs themselves."""

    items: list[Item]
    errors: list[InputNotFoundError]
    left_out: list[Path]


def plan_items(inputs: Sequence[Path], out: Path) -> Plan:
    """Returns the inputs in order, each with a name of its own in `out`.

    A folder stands for its videos and, as one input, for its pictures. What earlier runs into `out` made is no input,
    so that a job whose outputs lie beside its inputs (`process d/* --out d`) may be run again. An input keeps the name
    it had in an earlier run into `out`; two inputs with one stem are told apart by a number, so that none overwrites
    another's outputs.
    """
    owners = _read_owners(out)
    names = {owner: name for name, owner in owners.items()}
    outputs = _read_outputs(out)
    plan = Plan([], [], [])
    seen: set[str] = set()
    for given in inputs:
        if given.resolve() in outputs:
            plan.left_out.append(given)
            continue
        try:
            found = _find(given, outputs)
        except InputNotFoundError as error:
            plan.errors.append(error)
            continue
        for path, kind in found:
            owner = str(path.resolve())
            if owner in seen:
                continue
            seen.add(owner)
            name = names.get(owner) or _free_name(path.stem if kind != "pictures" else path.resolve().name, owners)
            owners[name] = owner
            plan.items.append(Item(path, kind, name, outputs))
    return plan


def identify(item: Item, model_sha256: str, choices: Mapping[str, Any]) -> dict[str, Any]:
    """Returns what decides the outputs of an input; while it is the same, finished work stays finished.

    Raises InputNotFoundError when the input is gone by now.
    """
    try:
        if item.kind == "pictures":
            listing = [(path.name, *_stamp(path)) for path in item.pictures]
            stamp: Any = hashlib.sha256(json.dumps(listing).encode()).hexdigest()
        else:
            stamp = list(_stamp(item.path))
    except OSError as error:
        raise InputNotFoundError(f"{item.path}: cannot be read: {explain(error)}") from error
    return {
        "input": str(item.path.resolve()),
        "stamp": stamp,
        "model_sha256": model_sha256,
        "choices": dict(choices),
    }


def read_record(path: Path) -> dict[str, Any] | None:
    """Returns what was noted, None where nothing was, or nothing that this version wrote: the work is done again."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return record if isinstance(record, dict) and record.get("version") == RECORD_VERSION else None


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Notes `record` so that a reader meets all of it or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    text = json.dumps({"version": RECORD_VERSION, **record}, ensure_ascii=False, indent=1)
    part.write_text(text + "\n", encoding="utf-8")
    part.replace(path)


def _find(given: Path, outputs: frozenset[Path]) -> list[tuple[Path, Kind]]:
    if is_folder(given):
        try:
            files = sorted(path for path in given.iterdir() if path.is_file() and path.resolve() not in outputs)
        except OSError as error:
            raise InputNotFoundError(f"{given}: cannot be read: {explain(error)}") from error
        found: list[tuple[Path, Kind]] = [(path, "video") for path in files if path.suffix.lower() in VIDEO_SUFFIXES]
        if any(path.suffix.lower() in PICTURE_SUFFIXES for path in files):
            found.append((given, "pictures"))
        if not found:
            raise InputNotFoundError(f"{given}: holds no pictures and no videos; give files, or a folder of them")
        return found
    if not given.exists():
        # It may be an address, with a password in it.
        raise InputNotFoundError(f"{redact(str(given))}: no such file or folder; check the path")
    return [(given, "picture" if given.suffix.lower() in PICTURE_SUFFIXES else "video")]


def _read_outputs(out: Path) -> frozenset[Path]:
    """Returns the files and folders in `out` that earlier runs made, of unfinished inputs too."""
    records = filter(None, map(read_record, out.glob(f"{RECORDS}/*.json")))
    finished = {(out / name).resolve() for record in records for name in record["outputs"]}
    return frozenset(finished | {path.parent.resolve() for path in out.glob(f"*{PARTIAL}/{JOB}")})


def _read_owners(out: Path) -> dict[str, str]:
    """Returns which input each name in `out` belongs to, finished or not."""
    owners: dict[str, str] = {}
    for path in out.glob(f"{RECORDS}/*.json"):
        if record := read_record(path):
            owners[path.stem] = record["identity"]["input"]
    for path in out.glob(f"*{PARTIAL}/{JOB}"):
        if record := read_record(path):
            owners[path.parent.name.removesuffix(PARTIAL)] = record["identity"]["input"]
    return owners


def _free_name(stem: str, owners: Mapping[str, str]) -> str:
    if stem not in owners:
        return stem
    number = 2
    while f"{stem}-{number}" in owners:
        number += 1
    return f"{stem}-{number}"


def _stamp(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns
