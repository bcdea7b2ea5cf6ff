"""The configuration file: an error names file, line, key and value; all of them come at once; flags win."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jsonschema
import pytest
import yaml

from edgeseg.config import Config, Part, allowed_keys
from edgeseg.config_file import Flag, check_config, describe_config, describe_schema, load_config
from edgeseg.errors import ConfigError, UsageError


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "edgeseg.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def complaints(path: Path) -> list[str]:
    """What load_config says about a file, a complaint each, without the file's own name."""
    with pytest.raises(ConfigError) as raised:
        load_config(path)
    text = str(raised.value)
    assert "\n" not in text
    assert text.startswith(f"{path}:")
    return text.removeprefix(f"{path}:").split(f"; {path}:")


def test_a_whole_file(tmp_path: Path) -> None:
    config = load_config(
        write(
            tmp_path,
            """
source: /dev/v4l/by-id/usb-046d_HD_Webcam-video-index0
duration: 2h
camera: {size: 1280x720, fps: 30, format: YUYV}
pictures: {fps: 5}
model: {path: model.tflite, threads: 2, runtime: ai-edge-litert}
fusion: {enabled: false, half_life: 80ms}
overlay: {opacity: 0.3, legend: true}
output:
  save: [out/drive.mp4, out/drive.jsonl]
  window: true
http: {address: 127.0.0.1:9000}
log: {level: warning, interval: 1m}
""",
        )
    )
    assert config.duration == 7200
    assert config.camera.size == (1280, 720)
    assert config.model.path == Path("model.tflite")
    assert config.output.save == ("out/drive.mp4", "out/drive.jsonl")
    assert config.http.address is not None
    assert config.http.address.port == 9000
    assert config.fusion.half_life == pytest.approx(0.08)


@pytest.mark.parametrize("text", ["", "# nothing but a comment\n", "---\n"])
def test_an_empty_file_leaves_the_defaults(tmp_path: Path, text: str) -> None:
    assert load_config(write(tmp_path, text)) == load_config()


def test_every_error_is_told_with_line_key_and_value(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """sorce: 0
duration: 10
camera:
  fpz: 30
  size: big
output:
  save:
    - out.mp4
    - [1, 2]
model: {threads: 0}
log: quiet
""",
    )
    assert complaints(path) == [
        "1: sorce: unknown key; did you mean 'source'?",
        "2: duration: 10 is not a duration; write for instance 10s, 500ms, 2m or 1h",
        "4: camera.fpz: unknown key; did you mean 'fps'?",
        "5: camera.size: 'big' is not a size; write for instance 1280x720",
        "9: output.save.1: [1, 2] should be a valid string",
        "10: model.threads: 0 should be greater than or equal to 1",
        "11: log: 'quiet' should be a mapping of keys to values",
    ]


def test_an_unknown_key_that_is_like_none_is_told_which_there_are(tmp_path: Path) -> None:
    (complaint,) = complaints(write(tmp_path, "log: {colour: red}"))
    assert complaint == "1: log.colour: unknown key; there is interval, level"


def test_a_key_given_twice_is_an_error(tmp_path: Path) -> None:
    assert complaints(write(tmp_path, "loop: true\ncamera:\n  fps: 3\n  fps: 4\nloop: false\n")) == [
        "4: camera.fps: given twice; keep one",
        "5: loop: given twice; keep one",
    ]


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("source: [1\nloop: true", "2: is not valid YAML"),
        ("a:\n\t- b", "2: is not valid YAML"),
        ("- source", "1: must be a mapping"),
        ("source: !!python/object:os.system x", "1: is not valid YAML"),
        ("just text", "1: must be a mapping"),
        ("3: 4", "1: 3"),
        ("source: \x01", "1: is not valid YAML"),
        ("loop: true\ncamera: {fps: !!int thirty}", "2: is not valid YAML: not a valid int"),
        ("camera: {fps: " + 5000 * "9" + "}", "1: is not valid YAML: not a valid int"),
        ("[1, 2]: 3", "1: is not valid YAML: found unhashable key"),
        ("camera: " + 2000 * "[" + 2000 * "]", "1: is nested too deeply"),
        ("camera: &itself {fps: *itself}", "1: is nested too deeply"),
    ],
)
def test_what_is_no_mapping_in_yaml(tmp_path: Path, text: str, complaint: str) -> None:
    (first, *_) = complaints(write(tmp_path, text))
    assert first.startswith(complaint)


def test_a_value_is_shown_as_it_is_written_and_not_as_yaml_takes_it(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """source: 2024-13-45
duration: 1:30
privacy: no
camera: {size: 0x720}
output: {save: drive.mp4}
cameras:
on: 1
pictures: {fps: "%s"}
"""
        % (100 * "9 "),
    )
    assert complaints(path) == [
        "2: duration: 1:30 is not a duration; write for instance 10s, 500ms, 2m or 1h",
        "3: privacy: no should be 'none' or 'blur_people'",
        "4: camera.size: 0x720 is not a size; write for instance 1280x720",
        "5: output.save: 'drive.mp4' should be a list, such as [A, B]",
        f"7: on: unknown key; there is {', '.join(sorted(Config.model_fields))}",
        f"8: pictures.fps: '{38 * '9 '}... should be a valid number, unable to parse string as a number",
    ]


def test_sources_and_outputs_of_no_known_kind_are_errors_of_the_file(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """cameras:
  a: {source: "ftp://u:hunter22@host/x"}
  b: {source: "pipe:'rpicam-vid"}
  c: {source: "rtsp://"}
  d: {source: "csi:front"}
  e: {source: "synthetic:big"}
  f: {source: "a\\0b"}
  g: {source: ""}
  h: {source: no/such/file.mp4, format: mjpg}
output: {save: [x.mp4, y.xyz]}
""",
    )
    problems = complaints(path)
    assert [problem.partition(": ")[0] for problem in problems] == [str(line) for line in (2, 3, 4, 5, 6, 7, 8, 9, 10)]
    for problem, text in zip(
        problems,
        (
            "cameras.a.source: ftp://...: no such kind of source; of streams rtsp://",
            "cameras.b.source: pipe:'rpicam-vid: no closing quotation",
            "cameras.c.source: rtsp://: names no camera",
            "cameras.d.source: csi:front: is no CSI camera",
            "cameras.e.source: synthetic:big: is not synthetic:WIDTHxHEIGHT@FPS",
            "cameras.f.source: 'a\\x00b' is no name of a file",
            "cameras.g.source: '' is empty",
            "cameras.h.format: 'mjpg' is no pixel format; write four capital letters or digits, such as MJPG or YUYV",
            "output.save.1: 'y.xyz': no such kind of output; give NAME.mp4",
        ),
        strict=True,
    ):
        assert text in problem
    assert "hunter22" not in str(problems)
    with pytest.raises(UsageError, match=r"^ftp://\.\.\.: no such kind of source"):
        load_config(None, [Flag("SOURCE", ("source",), "ftp://u:hunter22@host/x")])


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("output:\n  save:\n    - x.mp4\n", "5: output.save: x.mp4: every camera needs its own"),
        ("output:\n  save: ['{camera}.mp4']\n  window: yes\n", "6: output.window: shows a single camera"),
        ("\npush:\n  - rtsp://h/x\n", "5: push: rtsp://h/x: every camera needs its own"),
    ],
)
def test_outputs_that_cannot_be_together_are_errors_of_the_file(tmp_path: Path, text: str, complaint: str) -> None:
    path = write(tmp_path, "cameras:\n  a: {source: 0}\n  b: {source: 1}\n" + text)
    (problem,) = check_config(path)
    assert problem.startswith(f"{path}:")
    assert complaint in problem


def test_what_cameras_have_in_common_can_be_written_once(tmp_path: Path) -> None:
    path = write(tmp_path, "cameras:\n  1: &all {source: 0, fps: 5}\n  2: {<<: *all, source: 2, rotate: 45}\n")
    assert complaints(path) == ["3: cameras.2.rotate: 45 should be 0, 90, 180 or 270"]
    path.write_text(path.read_text().replace("45", "90"))
    cameras = load_config(path).cameras
    assert [(name, it.source, it.fps, it.rotate) for name, it in cameras.items()] == [
        ("1", "0", 5.0, 0),
        ("2", "2", 5.0, 90),
    ]


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yaml: no such configuration file"):
        load_config(tmp_path / "no.yaml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load_config(tmp_path)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"binary\.yaml: is not text"):
        load_config(binary)


def test_flags_win_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    path = write(tmp_path, "source: a.mp4\nmodel: {threads: 3}\noutput: {save: [x.mp4]}\nhttp: {address: 9000}\n")
    flags = [
        Flag("SOURCE", ("source",), None),
        Flag("--threads", ("model", "threads"), 4),
        Flag("--save", ("output", "save"), ["y.mp4"]),
        Flag("--camera-fps", ("camera", "fps"), 15.0),
    ]
    config = load_config(path, flags)
    assert config.source == "a.mp4"
    assert config.model.threads == 4
    assert config.output.save == ("y.mp4",)
    assert config.http.address is not None
    assert config.http.address.port == 9000
    assert config.camera.fps == 15
    assert config.camera.format == "MJPG"


def test_a_wrong_flag_is_an_error_of_the_command_line(tmp_path: Path) -> None:
    flags = [Flag("--threads", ("model", "threads"), 0), Flag("--duration", ("duration",), "soon")]
    with pytest.raises(UsageError) as raised:
        load_config(write(tmp_path, "loop: true"), flags)
    assert "--threads 0 should be" in str(raised.value)
    assert "--duration 'soon' is not a duration" in str(raised.value)


def test_a_flag_does_not_hide_an_error_in_the_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r":1: model\.threads: 0"):
        load_config(write(tmp_path, "model: {threads: 0}"), [Flag("--threads", ("model", "threads"), 2)])


def test_a_heading_with_everything_under_it_commented_out_is_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, "camera:\n#  fps: 3\nduration:\n")
    assert load_config(path) == load_config()
    assert load_config(path, [Flag("--camera-fps", ("camera", "fps"), 4.0)]).camera.fps == 4


def test_the_example_names_every_key_and_its_default() -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "edgeseg.yaml"
    assert load_config(example) == load_config(flags=[Flag("SOURCE", ("source",), "0")])
    text = example.read_text(encoding="utf-8")
    for heading in allowed_keys(()):
        assert re.search(rf"^(# )?{heading}:", text, re.MULTILINE), heading
        if isinstance(getattr(Config(), heading), Part):
            for key in allowed_keys((heading,)):
                assert re.search(rf"^  (# )?{key}:", text, re.MULTILINE), f"{heading}.{key}"


def test_what_the_example_leaves_out_may_be_put_in(tmp_path: Path) -> None:
    example = Path(__file__).resolve().parents[2] / "examples" / "edgeseg.yaml"
    everything = re.sub(r"^( *)# (\w+: )", r"\1\2", example.read_text(encoding="utf-8"), flags=re.MULTILINE)
    with pytest.raises(ConfigError, match="cameras: stands beside 'source'"):
        load_config(write(tmp_path, everything))
    config = load_config(write(tmp_path, everything.replace("source: 0", "")))
    front, rear = config.named_cameras().values()
    assert (front.source, front.size, front.rotate) == ("/dev/video0", (1280, 720), 0)
    assert (rear.source, rear.size, rear.rotate) == ("rtsp://10.0.0.7/main", (1280, 720), 180)
    assert config.camera.size == (1280, 720)
    assert config.http.address is not None
    assert config.model.path == Path("models/mine-int8.tflite")


def test_cameras_are_checked_like_everything_else(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """cameras:
  front: {source: 0, sise: 1280x720}
  Rear View: {source: 1}
  left: {rotate: 45, source: "rtsp://admin:secret@10.0.0.7/main", flip: "rtsp://admin:secret@10.0.0.7/main"}
  right: {fps: 5}
""",
    )
    said = complaints(path)
    assert said == [
        "2: cameras.front.sise: unknown key; did you mean 'size'?",
        "3: cameras.Rear View: is no name; write small letters, digits, - and _, 32 at most",
        "4: cameras.left.flip: 'rtsp://***@10.0.0.7/main' should be 'none', 'horizontal' or 'vertical'",
        "4: cameras.left.rotate: 45 should be 0, 90, 180 or 270",
        "5: cameras.right.source: is missing",
    ]


def test_a_source_on_the_command_line_takes_the_place_of_the_cameras(tmp_path: Path) -> None:
    path = write(tmp_path, "cameras: {front: {source: 0}}\ncamera: {fps: 7}\n")
    config = load_config(path, [Flag("SOURCE", ("source",), "drive.mp4")])
    assert [(name, camera.source, camera.fps) for name, camera in config.named_cameras().items()] == [
        ("camera", "drive.mp4", 7)
    ]


def test_the_schema_accepts_the_example_and_knows_every_key() -> None:
    schema = json.loads(describe_schema())
    jsonschema.Draft202012Validator.check_schema(schema)
    assert set(schema["properties"]) == set(allowed_keys(()))
    assert schema["additionalProperties"] is False
    assert schema["properties"]["max_age"]["anyOf"][0]["type"] == "string"
    example = Path(__file__).resolve().parents[2] / "examples" / "edgeseg.yaml"
    jsonschema.validate(yaml.safe_load(example.read_text(encoding="utf-8")), schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"camera": {"sise": "1x1"}}, schema)


def test_what_is_shown_of_a_configuration_can_be_read_back(tmp_path: Path) -> None:
    path = write(
        tmp_path, "source: 1\nmax_age: 250ms\ncamera: {size: 64x48}\nhttp: {address: 9000}\nlog: {interval: 90s}\n"
    )
    config = load_config(path)
    shown = describe_config(config)
    again = tmp_path / "again.yaml"
    again.write_text(shown, encoding="utf-8")
    assert load_config(again) == config


def test_what_is_shown_hides_passwords(tmp_path: Path) -> None:
    shown = describe_config(load_config(write(tmp_path, 'source: "rtsp://admin:secret@10.0.0.7/main"')))
    assert "secret" not in shown
    assert "10.0.0.7" in shown
