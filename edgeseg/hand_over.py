"""What training hands over and conversion takes: the names of the files, and the sum that ties them together."""

from __future__ import annotations

import hashlib
import zipfile
import zlib
from pathlib import Path

NETWORK_NAME = "best.keras"
CARD_NAME = "card.json"
RECIPE_NAME = "recipe.yaml"
ORIGIN_NAME = "run.json"

#: What readers of .keras and .npz files, which are zip archives, raise for one that is damaged or something else.
BAD_ARCHIVE = (OSError, ValueError, KeyError, TypeError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error)


def find_damage(path: Path, what: str) -> list[str]:
    """Says, as a list of one line or none, what is wrong with a .keras or .npz; `what` is missing when it is."""
    if not path.is_file():
        return [f"{path}: no such {what}"]
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
    except BAD_ARCHIVE as error:
        return [f"{path}: cannot be read: {error}"]
    return [] if bad is None else [f"{path}: is damaged in {bad}"]


def fingerprint(folder: Path) -> str:
    """sha256 over recipe.yaml, run.json and best.keras of a run, one after the other: the card's `training_sha256`."""
    digest = hashlib.sha256()
    for name in (RECIPE_NAME, ORIGIN_NAME, NETWORK_NAME):
        digest.update((folder / name).read_bytes())
    return digest.hexdigest()
