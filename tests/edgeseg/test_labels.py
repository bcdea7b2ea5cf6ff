"""Raw labels become classes by a mapping; everything that does not fit is named with its path."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from edgeseg.errors import ConfigError, DataError, InputNotFoundError
from edgeseg.labels import LabelMapping, Pair, find_pairs, read_image, read_pair, scan_pairs, shipped_mappings

#: A few values of each shipped mapping whose meaning is beyond doubt: raw -> class index, 255 ignored.
KNOWN = {
    "camvid": {0: 0, 3: 1, 4: 0, 8: 2, 9: 3, 11: 255},
    "cityscapes": {7: 1, 8: 0, 23: 0, 24: 3, 26: 2, 255: 255, 0: 255},
    "cityscapes_trainids": {0: 1, 1: 0, 10: 0, 11: 3, 12: 3, 13: 2, 17: 2, 18: 2, 255: 255},
    "cityscapes_trainids_on_camvid": {0: 1, 1: 0, 10: 0, 11: 3, 12: 3, 13: 2, 17: 2, 18: 3, 255: 255},
    "bdd100k": {0: 1, 10: 0, 11: 3, 13: 2, 255: 255},
    "idd_lite": {0: 1, 1: 0, 2: 3, 3: 2, 6: 0, 255: 255},
    "edgeseg": {0: 0, 1: 1, 2: 2, 3: 3, 255: 255},
    "camvid_colors": {0x808080: 0, 0x804080: 1, 0x8000C0: 1, 0x400080: 2, 0x404000: 3, 0x0080C0: 3, 0: 255},
    "bdd100k_colors": {0x804080: 1, 0xF423E8: 0, 0x00008E: 2, 0xDC143C: 3, 0: 255},
    "comma10k": {0x402020: 1, 0xFF0000: 1, 0x808060: 0, 0x00FF66: 2, 0xCC00FF: 255},
}


def colour_picture(codes: list[int]) -> np.ndarray:
    """One row of pixels, BGR as cv2 reads them."""
    return np.array([[[code & 255, code >> 8 & 255, code >> 16] for code in codes]], np.uint8)


def test_every_shipped_mapping_is_checked_here() -> None:
    assert set(shipped_mappings()) == set(KNOWN)


@pytest.mark.parametrize("name", KNOWN)
def test_shipped_mappings_mean_what_their_data_sets_mean(name: str) -> None:
    mapping = LabelMapping.load(name)
    assert mapping.name == name
    codes = list(KNOWN[name])
    raw = colour_picture(codes) if mapping.colors is not None else np.array([codes], np.uint8)
    assert mapping.apply(raw).tolist() == [list(KNOWN[name].values())]


def test_for_camvid_only_the_bicycle_of_cityscapes_is_another_class() -> None:
    ids = np.array([[*range(19), 255]], np.uint8)
    plain, on_camvid = (
        LabelMapping.load(name).apply(ids)[0] for name in ("cityscapes_trainids", "cityscapes_trainids_on_camvid")
    )
    assert ids[0, plain != on_camvid].tolist() == [18]


def test_a_mapping_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "meine Klassen.yaml"
    path.write_text("name: mine\nvalues: {road: [300], other: [0]}\n")
    mapping = LabelMapping.load(path)
    assert mapping.apply(np.array([[0, 300]], np.uint16)).tolist() == [[0, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nvalues: {road: [1], other: [1]}", "value 1 is both road and other"),
        ("name: x\ncolors: {road: ['#010203'], other: ['#010203']}", "#010203 is both road and other"),
        ("name: x\nvalues: {rode: [1]}", "at values.rode"),
        ("name: x\nvalues: {road: [-1]}", "at values.road.0"),
        ("name: x\ncolors: {road: [green]}", "at colors.road.0"),
        ("name: x", "exactly one of `values` and `colors`"),
        ("name: x\nvalues: {road: [1]}\ncolors: {road: ['#010203']}", "exactly one of `values` and `colors`"),
        ("name: x\nvalues: {}", "it maps nothing"),
        ("name: x\nvalues: {road: [1]}\nstem: y", "at stem"),
        ("name: x\nvalues: {road: [1}", "line 2: not valid YAML"),
        ("just a sentence", "wrong label mapping"),
        ("", "wrong label mapping"),
    ],
)
def test_a_wrong_mapping_is_refused_in_one_line(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        LabelMapping.parse(text, "mine.yaml")
    assert str(caught.value).startswith("mine.yaml")
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_mapping_lists_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(InputNotFoundError, match=r"kitti: no such mapping file; .* camvid, "):
        LabelMapping.load("kitti")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.yaml"):
        LabelMapping.load(tmp_path / "binary.yaml")


def test_values_that_nobody_mapped_are_counted_and_named() -> None:
    mapping = LabelMapping.parse("name: x\nvalues: {road: [1]}", "x")
    with pytest.raises(DataError, match=r"a\.png: 3 pixels hold value 7, value 200, which the mapping 'x'"):
        mapping.apply(np.array([[1, 7, 7, 200]], np.uint8), "a.png")


def test_colours_that_nobody_mapped_are_named_as_colours() -> None:
    mapping = LabelMapping.parse("name: x\ncolors: {road: ['#402020']}", "x")
    with pytest.raises(DataError, match=r"a\.png: 1 pixels hold #402021"):
        mapping.apply(colour_picture([0x402020, 0x402021]), "a.png")


def test_values_and_colours_are_not_mixed_up() -> None:
    values, colors = LabelMapping.load("camvid"), LabelMapping.load("comma10k")
    with pytest.raises(DataError, match="a colour picture"):
        values.apply(colour_picture([0x402020]))
    with pytest.raises(DataError, match="lists colours"):
        colors.apply(np.zeros((2, 2), np.uint8))
    # Grey saved as three channels, and colour with alpha, are what they look like.
    assert values.apply(np.full((1, 1, 3), 3, np.uint8)).tolist() == [[1]]
    assert colors.apply(np.dstack([colour_picture([0x402020]), [[255]]]).astype(np.uint8)).tolist() == [[1]]


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    images, labels = tmp_path / "images", tmp_path / "labels"
    images.mkdir()
    labels.mkdir()
    return images, labels


def write_pair(folders: tuple[Path, Path], stem: str, suffix: str = ".jpg", label: np.ndarray | None = None) -> None:
    for folder in folders:
        (folder / stem).parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(folders[0] / (stem + suffix)), np.full((6, 8, 3), 99, np.uint8))
    cv2.imwrite(str(folders[1] / (stem + ".png")), np.full((6, 8), 3, np.uint8) if label is None else label)


def test_pairs_are_found_sorted_with_subfolders_and_all_kinds_of_picture(folders: tuple[Path, Path]) -> None:
    for stem, suffix in (("b", ".jpg"), ("a", ".png"), ("Zürich/c d", ".JPEG"), ("c", ".bmp")):
        write_pair(folders, stem, suffix)
    (folders[0] / "Thumbs.db").write_text("not a picture")
    pairs = find_pairs(*folders)
    assert [pair.stem for pair in pairs] == ["Zürich/c d", "a", "b", "c"]
    image, label = read_pair(pairs[0], LabelMapping.load("camvid"))
    assert image.shape == (6, 8, 3)
    assert (label == 1).all()


def test_suffixes_of_a_mapping_pair_up_cityscapes(folders: tuple[Path, Path]) -> None:
    for folder in folders:
        (folder / "aachen").mkdir()
    picture, mask = np.zeros((4, 4, 3), np.uint8), np.full((4, 4), 7, np.uint8)
    cv2.imwrite(str(folders[0] / "aachen" / "aachen_000000_leftImg8bit.png"), picture)
    for kind in ("labelIds", "instanceIds", "color"):
        cv2.imwrite(str(folders[1] / "aachen" / f"aachen_000000_gtFine_{kind}.png"), mask)
    mapping = LabelMapping.load("cityscapes")
    (pair,) = find_pairs(*folders, mapping)
    assert pair.label.name == "aachen_000000_gtFine_labelIds.png"
    assert (read_pair(pair, mapping)[1] == 1).all()


def test_every_lonely_file_is_named(folders: tuple[Path, Path]) -> None:
    write_pair(folders, "good")
    cv2.imwrite(str(folders[0] / "unlabelled.jpg"), np.zeros((4, 4, 3), np.uint8))
    cv2.imwrite(str(folders[1] / "orphan.png"), np.zeros((4, 4), np.uint8))
    cv2.imwrite(str(folders[0] / "good.png"), np.zeros((4, 4, 3), np.uint8))
    pairs, problems = scan_pairs(*folders)
    assert [pair.stem for pair in pairs] == ["good"]
    assert len(problems) == 3
    for name in ("unlabelled.jpg: has no mask", "orphan.png: has no picture", "good.png: has the same name"):
        assert any(name in problem for problem in problems)
    with pytest.raises(DataError, match=r"\(and 2 more\)"):
        find_pairs(*folders)


def test_folders_that_are_missing_or_empty_are_named(folders: tuple[Path, Path]) -> None:
    with pytest.raises(DataError, match="images: holds no pictures"):
        find_pairs(*folders)
    with pytest.raises(InputNotFoundError, match="nowhere: no such folder"):
        find_pairs(folders[0] / "nowhere", folders[1])


def test_broken_pairs_are_named(folders: tuple[Path, Path]) -> None:
    mapping = LabelMapping.load("camvid")
    images, labels = folders

    def read(stem: str) -> None:
        read_pair(Pair(stem, images / f"{stem}.jpg", labels / f"{stem}.png"), mapping)

    write_pair(folders, "size", label=np.full((5, 8), 3, np.uint8))
    with pytest.raises(DataError, match=r"size\.png: the mask is 8x5 but its picture .*size\.jpg is 8x6"):
        read("size")
    write_pair(folders, "value", label=np.full((6, 8), 77, np.uint8))
    with pytest.raises(DataError, match=r"value\.png: 48 pixels hold value 77"):
        read("value")
    write_pair(folders, "cut")
    (images / "cut.jpg").write_bytes((images / "cut.jpg").read_bytes()[:30])
    with pytest.raises(DataError, match=r"cut\.jpg: not a readable picture"):
        read("cut")
    write_pair(folders, "empty")
    (labels / "empty.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"empty\.png: the picture file is empty"):
        read("empty")
    with pytest.raises(InputNotFoundError, match=r"gone\.jpg: no such picture"):
        read("gone")


def test_pictures_of_any_depth_and_channels_become_bgr(tmp_path: Path) -> None:
    for name, picture in {
        "grey.png": np.full((3, 4), 200, np.uint8),
        "alpha.png": np.full((3, 4, 4), 200, np.uint8),
        "deep.png": np.full((3, 4, 3), 200 * 257, np.uint16),
    }.items():
        cv2.imwrite(str(tmp_path / name), picture)
        image = read_image(tmp_path / name)
        assert image.shape == (3, 4, 3)
        assert image.dtype == np.uint8
        assert (image == 200).all()


@pytest.mark.parametrize("broken", ["images", "labels"])
def test_a_picture_or_mask_that_is_too_large_is_named(folders: tuple[Path, Path], broken: str) -> None:
    for folder in folders:
        height, width = (9000, 16000) if folder.name == broken else (90, 160)
        # One bit a pixel, so that the test itself is small.
        cv2.imwrite(str(folder / "a.png"), np.zeros((height, width), np.uint8), [cv2.IMWRITE_PNG_BILEVEL, 1])
    (pair,) = find_pairs(*folders)
    with pytest.raises(DataError, match=rf"{broken}/a\.png: 16000x9000 is too large, 144 megapixels") as caught:
        read_pair(pair, LabelMapping.load("edgeseg"))
    assert "\n" not in str(caught.value)
