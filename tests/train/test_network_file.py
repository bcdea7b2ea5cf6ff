from __future__ import annotations

import json
from pathlib import Path

import pytest

from edgeseg.errors import DataError, InputNotFoundError
from tests.train.conftest import write_teacher
from train.network_file import load_network


def test_a_run_folder_and_its_keras_file_are_the_same(tmp_path: Path) -> None:
    path = write_teacher(tmp_path / "run")
    for place in (path, path.parent):
        found = load_network(place)
        assert found.path == path
        assert found.input_hw == (96, 128) == tuple(found.model.input_shape[1:3])
        assert found.card.name == "edgeseg-wide"


def test_what_is_missing_or_damaged_is_named(tmp_path: Path) -> None:
    path = write_teacher(tmp_path / "run")
    with pytest.raises(InputNotFoundError, match=r"nowhere: no such network"):
        load_network(tmp_path / "nowhere")
    card = path.with_name("card.json")
    whole = card.read_text()
    other = json.loads(whole)
    other["classes"] = [{**item, "name": "cow"} if item["name"] == "person" else item for item in other["classes"]]
    card.write_text(json.dumps(other))
    with pytest.raises(DataError, match=r"card\.json: knows other, road, vehicle, cow"):
        load_network(path)
    card.write_text(whole)
    content = path.read_bytes()
    flipped = bytearray(content)
    for place in range(len(content) // 3, len(content) // 2):
        flipped[place] ^= 0xFF
    # One bit of the directory: it says that the file is encrypted.
    directory = bytearray(content)
    directory[content.rindex(b"PK\x01\x02") + 8] ^= 1
    for damaged in (b"damaged", bytes(flipped), bytes(directory)):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"best\.keras: cannot be loaded"):
            load_network(path)
    (tmp_path / "run" / "card.json").unlink()
    with pytest.raises(InputNotFoundError, match=r"card\.json: cannot be read"):
        load_network(path)
