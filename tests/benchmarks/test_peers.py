"""benchmarks/peers.py with foreign models whose answers are known: other classes, another order, another scale."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
import pytest
import tensorflow as tf
from onnx import TensorProto, helper, numpy_helper

from benchmarks.peer_model import Habits, PeerModel
from benchmarks.peers import main
from convert.quantize import convert_float, convert_int8, keras, resize_network
from edgeseg.errors import InputNotFoundError, ModelError, UsageError
from edgeseg.evaluate import evaluate_pairs
from edgeseg.labels import LabelMapping, find_pairs
from edgeseg.segmenter import SMALL_BUNDLED_MODEL
from tests.convert.conftest import SMALL_HW, draw_dataset, iterate_noise

#: Scores of person, road, sky, car for red, green, blue in [0, 1]; nothing is called `other`.
WEIGHTS = np.array([[6, -3, -3], [-3, 6, -3], [0, 0, 0], [-3, -3, 6]], np.float32)
BIAS = np.array([0, 0, 2, 0], np.float32)
CLASSES = "name: foreign\nvalues: {person: [0], road: [1], other: [2], vehicle: [3]}\n"
UNIT = Habits(mean=(0, 0, 0), std=(255, 255, 255))


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_dataset(tmp_path_factory.mktemp("peers") / "drawn", 4)


@pytest.fixture
def classes(tmp_path: Path) -> LabelMapping:
    (tmp_path / "foreign.yaml").write_text(CLASSES)
    return LabelMapping.load(tmp_path / "foreign.yaml")


def write_onnx(
    path: Path,
    *,
    open_size: bool = False,
    decides: bool = False,
    says: str = "scores",
    pad: int = 0,
    repeats: int = 1,
    shape: list[str | int] | None = None,
) -> Path:
    """NCHW, the mean colour of each 4x4 block; `decides`: class numbers instead of scores; `says` another output.

    says: the best score alone (`one`), or the scores in NHWC (`last`). pad: zeros, half of them to the left and above.
    repeats: how often the four classes are scored.
    """
    weights, bias = np.tile(WEIGHTS, (repeats, 1)), np.tile(BIAS, repeats)
    kernel = np.broadcast_to(weights[:, :, None, None] / 16, (len(weights), 3, 4, 4)).astype(np.float32)
    sides = ["h", "w"] if open_size else list(SMALL_HW)
    nodes = [
        helper.make_node(
            "Conv",
            ["image", "kernel", "bias"],
            ["scores"],
            strides=[4, 4],
            pads=[pad // 2, pad // 2, pad - pad // 2, pad - pad // 2],
        ),
        helper.make_node("ReduceMax", ["scores"], ["one"], axes=[1], keepdims=1),
        helper.make_node("Transpose", ["scores"], ["last"], perm=[0, 2, 3, 1]),
    ]
    result = helper.make_tensor_value_info(says, TensorProto.FLOAT, None)
    if decides:
        nodes.append(helper.make_node("ArgMax", ["scores"], ["ids"], axis=1, keepdims=0))
        result = helper.make_tensor_value_info("ids", TensorProto.INT64, None)
    graph = helper.make_graph(
        nodes,
        "foreign",
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, shape or ["batch", 3, *sides])],
        [result],
        [numpy_helper.from_array(kernel, "kernel"), numpy_helper.from_array(bias, "bias")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, str(path))
    return path


def write_tflite(path: Path, *, quantised: bool = False, decides: bool = False) -> Path:
    """The same in NHWC; quantised, for pixels less 128 as int8; `decides`: class numbers instead of scores."""
    inputs = keras.Input((*SMALL_HW, 3))
    layer = keras.layers.Conv2D(4, 4, strides=4)
    network = keras.Model(inputs, layer(inputs))
    kernel = np.broadcast_to(WEIGHTS.T / 16, (4, 4, 3, 4))
    # Of x = (pixel - 128) / 128, (128 x + 128) / 255 is what the weights are for.
    scale = 128 / 255 if quantised else 1.0
    offset = 128 / 255 * WEIGHTS.sum(axis=1) if quantised else 0.0
    layer.set_weights([kernel * scale, BIAS + offset])
    network = resize_network(network, SMALL_HW)
    if decides:
        # Not keras.ops.argmax, which minds signed zeros with an op that TFLite has not.
        number = keras.layers.Lambda(lambda scores: tf.argmax(scores, axis=-1, output_type=tf.int32))
        network = keras.Model(network.inputs, number(network.output))
    path.write_bytes(convert_int8(network, iterate_blocks) if quantised else convert_float(network))
    return path


def iterate_blocks() -> object:
    """Noise, and pictures of one colour, so that the range of the scores covers what is drawn."""
    for index, sample in enumerate(iterate_noise(6)):
        if index < 3:
            sample[:, 4:] = -1.0
            sample[:, 4:, :, index] = 127 / 128
        yield sample


def _map(values: str) -> LabelMapping:
    return LabelMapping.parse(f"name: foreign\nvalues: {{{values}}}\n", "foreign.yaml")


def count(peer: PeerModel, dataset: Path) -> np.ndarray:
    mapping = LabelMapping.load("edgeseg")
    return evaluate_pairs(find_pairs(dataset / "images", dataset / "labels", mapping), mapping, peer.predict)


def test_every_format_gives_the_same_classes(tmp_path: Path, dataset: Path, classes: LabelMapping) -> None:
    scores = count(PeerModel(write_onnx(tmp_path / "a.onnx"), classes, UNIT), dataset)
    assert min(scores.iou().values()) > 0.75
    same = count(PeerModel(write_tflite(tmp_path / "a.tflite"), classes, UNIT), dataset)
    np.testing.assert_array_equal(same.counts, scores.counts)
    # int8 takes the pixels as they are when nothing else is said.
    quantised = count(PeerModel(write_tflite(tmp_path / "q.tflite", quantised=True), classes, Habits()), dataset)
    assert np.abs(quantised.counts - scores.counts).sum() < 0.02 * scores.counts.sum()
    decided = count(PeerModel(write_onnx(tmp_path / "b.onnx", decides=True), classes, UNIT), dataset)
    assert min(decided.iou().values()) > 0.7
    numbers = count(PeerModel(write_tflite(tmp_path / "b.tflite", decides=True), classes, UNIT), dataset)
    np.testing.assert_array_equal(numbers.counts, decided.counts)


def test_what_the_file_does_not_say_matters(tmp_path: Path, dataset: Path, classes: LabelMapping) -> None:
    path = write_onnx(tmp_path / "a.onnx")
    swapped = count(PeerModel(path, classes, Habits(mean=UNIT.mean, std=UNIT.std, bgr=True)), dataset)
    assert swapped.iou()["person"] < 0.1
    unscaled = count(PeerModel(path, classes, Habits(mean=(128, 128, 128), std=(1, 1, 1))), dataset)
    assert unscaled.mean_iou() < 0.9 * count(PeerModel(path, classes, UNIT), dataset).mean_iou()


@pytest.mark.parametrize(("mean", "std"), [((0, 0, 0), (1, 1, 1)), ((0, 0, 0), (25500, 25500, 25500))])
def test_a_normalisation_that_a_quantised_input_cannot_hold_is_refused(
    tmp_path: Path, classes: LabelMapping, mean: tuple[float, ...], std: tuple[float, ...]
) -> None:
    path = write_tflite(tmp_path / "q.tflite", quantised=True)
    with pytest.raises(UsageError, match=r"q\.tflite: its quantised input holds -1 to 0\.99.* and white .*as they are"):
        PeerModel(path, classes, Habits(mean=mean, std=std))
    PeerModel(path, classes, Habits(mean=(123.7, 116.3, 103.5), std=(128, 128, 128)))


@pytest.mark.parametrize(
    ("mean", "std", "says"),
    [
        ("0", "0", "--std: '0': what is divided by must be above 0"),
        ("0", "1,-1,1", "--std: '1,-1,1': what is divided by must be above 0"),
        ("0", "nan", "--std: 'nan' is neither one finite number nor three"),
        ("nan", "1", "--mean: 'nan' is neither one finite number nor three"),
        ("0,inf,0", "1", "--mean: '0,inf,0' is neither one finite number nor three"),
    ],
)
def test_what_makes_no_numbers_of_pixels_is_refused(
    mean: str, std: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["model.onnx", "--classes", "edgeseg", "--dataset", ".", "--mapping", "edgeseg"]
    assert main([*arguments, f"--mean={mean}", f"--std={std}"]) == UsageError.exit_code
    assert says in capsys.readouterr().err


def test_an_open_size_is_asked_for_and_bars_are_cut_off(tmp_path: Path, dataset: Path, classes: LabelMapping) -> None:
    path = write_onnx(tmp_path / "a.onnx", open_size=True)
    with pytest.raises(UsageError, match=r"a\.onnx: takes pictures of any size; say which with --size"):
        PeerModel(path, classes, UNIT)
    peer = PeerModel(path, classes, Habits((96, 96), mean=UNIT.mean, std=UNIT.std, fit="letterbox"))
    assert peer.input_hw == (96, 96)
    assert min(count(peer, dataset).iou().values()) > 0.7


@pytest.mark.parametrize("decides", [False, True])
def test_bars_are_cut_off_where_the_scores_are_no_whole_part_of_the_input(
    tmp_path: Path, dataset: Path, classes: LabelMapping, decides: bool
) -> None:
    """26 cells for 101 pixels, as DeepLab gives 129 for 513."""
    path = write_onnx(tmp_path / "a.onnx", open_size=True, pad=3, decides=decides)
    found = []
    for side in (96, 101):
        habits = Habits((side, side), mean=UNIT.mean, std=UNIT.std, fit="letterbox")
        found.append(count(PeerModel(path, classes, habits), dataset).mean_iou())
    assert found[1] > found[0] - 0.06


def test_one_channel_that_is_no_class_number_is_refused(tmp_path: Path, dataset: Path, classes: LabelMapping) -> None:
    with pytest.raises(ModelError, match=r"one\.onnx: gives one channel that is not the number of a class"):
        count(PeerModel(write_onnx(tmp_path / "one.onnx", says="one"), classes, UNIT), dataset)


def test_a_size_that_the_file_does_not_leave_open_is_refused(tmp_path: Path, classes: LabelMapping) -> None:
    for path in (write_onnx(tmp_path / "a.onnx"), write_tflite(tmp_path / "a.tflite")):
        height, width = SMALL_HW
        assert PeerModel(path, classes, Habits((width, height))).input_hw == SMALL_HW
        with pytest.raises(UsageError, match=f"takes {width}x{height} alone; leave --size away"):
            PeerModel(path, classes, Habits((width + 32, height)))


@pytest.mark.parametrize(("decides", "last"), [(False, 3), (True, 255)])
def test_classes_that_the_model_has_not_are_refused(tmp_path: Path, decides: bool, last: int) -> None:
    """Of scores the channels are known; numbers may be any of a byte."""
    path = write_onnx(tmp_path / "a.onnx", decides=decides)
    says = rf"a\.onnx: has the classes 0 to {last}, but the mapping 'foreign' names {last + 1}; give --classes"
    with pytest.raises(ModelError, match=says):
        PeerModel(path, _map(f"other: [0], person: [{last + 1}]"), UNIT)
    # What labels leave out need be no class of the model.
    PeerModel(path, _map(f"other: [0], person: [{last}], ignore: [{last + 1}]"), UNIT)


def test_a_layout_of_another_input_is_refused(tmp_path: Path, classes: LabelMapping) -> None:
    height, width = SMALL_HW
    for path, layout, shape in (
        (write_tflite(tmp_path / "a.tflite"), "nchw", rf"\(1, {height}, {width}, 3\)"),
        (write_onnx(tmp_path / "a.onnx"), "nhwc", rf"\(1, 3, {height}, {width}\)"),
    ):
        with pytest.raises(UsageError, match=f"takes {shape}, which is not {layout}; leave --layout away"):
            PeerModel(path, classes, Habits(layout=layout))


def test_scores_that_lie_otherwise_than_the_picture_are_refused(tmp_path: Path, classes: LabelMapping) -> None:
    mixed = write_onnx(tmp_path / "mixed.onnx", says="last")
    with pytest.raises(ModelError, match=r"mixed\.onnx: gives, read as nchw, \d+x4 cells for a picture of .* layout"):
        PeerModel(mixed, classes, UNIT)


def test_more_classes_than_any_segmenter_has_are_refused(tmp_path: Path, classes: LabelMapping) -> None:
    PeerModel(write_onnx(tmp_path / "most.onnx", repeats=64), classes, UNIT)
    with pytest.raises(ModelError, match=r"many\.onnx: gives, read as nchw, 260 classes, of which 256 are the most"):
        PeerModel(write_onnx(tmp_path / "many.onnx", repeats=65), classes, UNIT)


def test_an_onnx_of_an_open_shape_is_run_and_one_of_a_fixed_batch_refused(
    tmp_path: Path, dataset: Path, classes: LabelMapping
) -> None:
    habits = Habits(SMALL_HW[::-1], "nchw", mean=UNIT.mean, std=UNIT.std)
    open_shape = PeerModel(write_onnx(tmp_path / "open.onnx", shape=["b", "c", "h", "w"]), classes, habits)
    plain = PeerModel(write_onnx(tmp_path / "plain.onnx"), classes, UNIT)
    np.testing.assert_array_equal(count(open_shape, dataset).counts, count(plain, dataset).counts)
    with pytest.raises(ModelError, match="takes 2 pictures at a time"):
        PeerModel(write_onnx(tmp_path / "two.onnx", shape=[2, 3, *SMALL_HW]), classes, UNIT)


def test_what_is_no_segmenter_is_refused(tmp_path: Path, classes: LabelMapping) -> None:
    with pytest.raises(InputNotFoundError, match=r"none\.onnx: no such model file"):
        PeerModel(tmp_path / "none.onnx", classes, UNIT)
    (tmp_path / "broken.onnx").write_bytes(b"no model")
    with pytest.raises(ModelError, match=r"broken\.onnx: ONNX Runtime cannot load it"):
        PeerModel(tmp_path / "broken.onnx", classes, UNIT)
    with pytest.raises(UsageError, match="goes by colours"):
        PeerModel(write_onnx(tmp_path / "a.onnx"), LabelMapping.load("comma10k"), UNIT)


def test_the_command_prints_and_writes_both_models(
    tmp_path: Path, dataset: Path, classes: LabelMapping, capsys: pytest.CaptureFixture[str]
) -> None:
    assert classes.name == "foreign"
    command = [write_onnx(tmp_path / "a.onnx"), "--classes", tmp_path / "foreign.yaml", "--dataset", dataset]
    command += ["--mapping", "edgeseg", "--normalise", "unit", "--rounds", "10"]
    command += ["--json", tmp_path / "new" / "found.json"]
    command += ["--against", SMALL_BUNDLED_MODEL, "--yardstick", write_tflite(tmp_path / "y.tflite")]
    assert main([str(word) for word in command]) == 0
    found = json.loads((tmp_path / "new" / "found.json").read_text())
    assert found["peer"]["iou"]["person"] > 0.75
    assert set(found["timings"]) == {"edgeseg-nano", "MobileNetV2 1.0 224 INT8"}
    low, high = found["timings"]["edgeseg-nano"]["ratio_interval"]
    assert 0 < low <= high
    printed = capsys.readouterr().out
    assert "a.onnx" in printed
    assert "edgeseg-nano" in printed


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["m.onnx"], 2, "--classes"),
        (["m.onnx", "--classes", "camvid", "--dataset", "nowhere", "--mapping", "camvid"], 66, "nowhere"),
        (
            ["m.onnx", "--classes", "camvid", "--dataset", "x", "--mapping", "camvid", "--rounds", "3"],
            2,
            "at least 10 rounds, got 3",
        ),
        (["m.onnx", "--classes", "c", "--dataset", "x", "--mapping", "camvid", "--mean", "1,2"], 2, "--mean"),
    ],
)
def test_mistakes_get_one_line(
    arguments: list[str], code: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("peers: error: ")
    assert message in line


@pytest.mark.parametrize(
    ("wrong", "code", "says"),
    [
        (["--classes", "bdd100k"], 65, "has the classes 0 to 3, but the mapping 'bdd100k' names"),
        (["--layout", "nchw"], 2, "which is not nchw"),
        (["--against", "none.tflite"], 66, "none.tflite"),
        (["--json", "{file}/new/found.json"], 69, "labels.txt/new: cannot be written: not a directory"),
        (["--json", "{folder}"], 69, "cannot be written: is a directory"),
    ],
)
def test_mistakes_are_told_before_anything_is_measured(
    wrong: list[str],
    code: int,
    says: str,
    tmp_path: Path,
    dataset: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for step in ("build_apart", "compare"):
        monkeypatch.setattr(f"benchmarks.peers.{step}", lambda *_: pytest.fail("has begun"))
    (tmp_path / "labels.txt").write_text("a file")
    command = [str(SMALL_BUNDLED_MODEL), "--classes", "edgeseg", "--dataset", str(dataset), "--mapping", "edgeseg"]
    command += ["--json", str(tmp_path / "new" / "found.json")]
    command += [word.format(file=tmp_path / "labels.txt", folder=tmp_path) for word in wrong]
    assert main(command) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("peers: error: ")
    assert says in line
    assert [path.name for path in tmp_path.iterdir()] == ["labels.txt"]  # no folder for what is not written
