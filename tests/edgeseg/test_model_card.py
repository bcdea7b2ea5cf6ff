"""The card travels inside the file, and a file that is not what its card says is found out."""

from __future__ import annotations

import hashlib
import json
import random
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from edgeseg.classes import CLASSES
from edgeseg.errors import InputNotFoundError, ModelError
from edgeseg.model_card import (
    CardClass,
    Metrics,
    ModelCard,
    TrainingSet,
    append_card,
    parse_card,
    read_card,
    read_flatbuffer,
    read_model,
)

CARD = ModelCard(
    name="tiny",
    version="1",
    input_hw=(64, 96),
    quantization="int8",
    licence="non-commercial research only",
    trained_on=(TrainingSet(name="CamVid", licence="non-commercial research", images=367),),
    metrics={"CamVid val": Metrics(iou={"road": 0.95, "person": None}, mean_iou=0.95)},
    training_sha256="0" * 64,
)


@pytest.fixture
def model(bare_models: Path, tmp_path: Path) -> Path:
    return Path(shutil.copyfile(bare_models / "int8.tflite", tmp_path / "Straße mit Leerzeichen.tflite"))


def test_a_card_comes_back_as_it_was_with_the_sums_of_the_model(model: Path) -> None:
    bare = model.read_bytes()
    written = append_card(model, CARD)
    assert read_card(model) == written
    assert written == CARD.model_copy(
        update={"model_sha256": hashlib.sha256(bare).hexdigest(), "model_bytes": len(bare)}
    )
    assert read_model(model).flatbuffer == bare
    assert model.read_bytes().startswith(bare)


def test_the_calibration_of_earlier_cards_is_read() -> None:
    one = {"dataset": "a and b", "ece_before": 0.02, "ece": 0.01, "bins": []}
    for earlier, names in ((None, []), (one, ["a and b"]), ([one, one], ["a and b"] * 2)):
        read = ModelCard.model_validate(CARD.model_dump() | {"calibration": earlier})
        assert [item.dataset for item in read.calibration] == names


def test_any_unzip_tool_shows_the_card_and_the_labels(model: Path) -> None:
    append_card(model, CARD)
    with zipfile.ZipFile(model) as archive:
        assert archive.testzip() is None
        assert archive.read("labels.txt").decode().split() == [item.name for item in CLASSES]
        assert json.loads(archive.read("edgeseg.json"))["licence"] == "non-commercial research only"


def test_a_second_card_replaces_the_first_and_equal_cards_give_equal_files(model: Path) -> None:
    append_card(model, CARD)
    once = model.read_bytes()
    append_card(model, CARD.model_copy(update={"name": "another, with a much longer name than before"}))
    assert read_card(model).name.startswith("another")
    append_card(model, CARD)
    assert model.read_bytes() == once
    assert [path.name for path in model.parent.iterdir()] == [model.name]


def test_colours_survive_the_trip() -> None:
    assert [CardClass.of(item).segment_class for item in CLASSES] == list(CLASSES)


def test_any_flipped_byte_of_the_model_is_found(model: Path) -> None:
    append_card(model, CARD)
    whole = model.read_bytes()
    size = read_card(model).model_bytes
    assert size is not None
    for place in range(0, size, 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0x40
        model.write_bytes(damaged)
        with pytest.raises(ModelError, match=r"damaged|not a TFLite model"):
            read_model(model)


def test_a_flipped_bit_in_the_card_is_found_or_changes_nothing(model: Path) -> None:
    """zipfile has another exception for nearly every field of its headers; all of them are one damaged model."""
    card = append_card(model, CARD)
    bare, whole = read_flatbuffer(model), model.read_bytes()
    bits = range(8 * len(bare), 8 * len(whole))
    # All of the directory at the end, where the exceptions differ; of the rest, whose sums are checked, a few.
    directory = 8 * whole.index(b"PK\1\2", len(bare))
    said = []
    for place in [*random.Random(3).sample(bits, 400), *range(directory, bits.stop)]:
        damaged = bytearray(whole)
        damaged[place // 8] ^= 1 << place % 8
        model.write_bytes(damaged)
        try:
            assert read_model(model) == (card, bare)
        except ModelError as error:
            said.append(str(error))
    assert len(said) > 500
    assert not [message for message in said if "\n" in message]


def test_no_length_of_a_cut_off_file_passes(model: Path) -> None:
    append_card(model, CARD)
    whole = model.read_bytes()
    for length in range(0, len(whole), 13):
        model.write_bytes(whole[:length])
        with pytest.raises(ModelError, match=r"empty|not a TFLite model|no readable model card|damaged"):
            read_model(model)


def test_bytes_put_between_model_and_card_are_found(model: Path) -> None:
    bare = model.read_bytes()
    append_card(model, CARD)
    model.write_bytes(bare + b"x" * 100 + model.read_bytes()[len(bare) :])
    with pytest.raises(ModelError, match="damaged"):
        read_model(model)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is empty"),
        (b"this is a text file, not a model\n" * 20, "not a TFLite model"),
        (b"\0\0\0\0TFL3 and nothing that fits", "no readable model card"),
    ],
)
def test_files_that_are_no_model_are_named(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "some.tflite"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=rf"some\.tflite: .*{message}"):
        read_model(path)


def test_a_missing_file_and_a_folder_are_told_apart(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"none\.tflite: no such model file"):
        read_model(tmp_path / "none.tflite")
    with pytest.raises(ModelError, match="is a directory"):
        read_model(tmp_path)


def test_a_model_without_a_card_is_refused_but_its_flatbuffer_can_be_had(model: Path) -> None:
    with pytest.raises(ModelError, match=r"no readable model card \(edgeseg\.json\)"):
        read_model(model)
    assert read_flatbuffer(model) == model.read_bytes()


def test_the_flatbuffer_of_a_damaged_model_is_not_given_out(model: Path) -> None:
    append_card(model, CARD)
    whole = bytearray(model.read_bytes())
    whole[200] ^= 1
    model.write_bytes(whole)
    with pytest.raises(ModelError, match="damaged"):
        read_flatbuffer(model)


def test_a_card_cannot_be_put_into_something_else(tmp_path: Path) -> None:
    path = tmp_path / "notes.tflite"
    path.write_text("a text")
    with pytest.raises(ModelError, match="not a TFLite model"):
        append_card(path, CARD)
    assert path.read_text() == "a text"


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"input_hw": [64]}, "input_hw"),
        ({"quantization": "int4"}, "quantization"),
        ({"classes": [{"name": "road", "color": "green"}, {"name": "b", "color": "#000000"}]}, "classes.0.color"),
        ({"input": {"pixel_scale": 0.00392}}, "input.pixel_scale"),
        ({"input": {"color_order": "BGR"}}, "input.color_order"),
        ({"flavour": "vanilla"}, "flavour"),
    ],
)
def test_a_wrong_card_names_the_key(change: dict[str, object], where: str) -> None:
    text = json.dumps({**CARD.model_dump(mode="json"), **change})
    with pytest.raises(ModelError, match=rf"x\.tflite: the model card is wrong at {where}"):
        parse_card(text, "x.tflite")


def test_a_card_that_is_no_json_is_refused_in_one_line(make_model: Callable[..., Path]) -> None:
    with pytest.raises(ModelError, match="the model card is wrong at the JSON") as caught:
        parse_card(b"{", "x.tflite")
    assert "\n" not in str(caught.value)
