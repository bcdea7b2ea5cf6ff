"""Measures camera truth: what it costs, how often it is wrong about good pictures, and what trouble it finds.

    python -m benchmarks.camera_truth [CLIP or FOLDER ...] [--every 25] [--no-streams]

from the checkout; without arguments on the bundled drive. FOLDERs are searched for pictures. Every picture is judged on
its own, and every --every'th also in bad light and weather (train/augment.py), where any alarm is a false one, and
with everything that happens to a camera (benchmarks/bad_pictures.py). Clips are also played whole. What freezes, and
what only seems to, is encoded and decoded as a camera would do it.
"""

from __future__ import annotations

import argparse
import io
import time
from collections import Counter
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path

import av
import cv2
import numpy as np
from numpy.random import Generator

from benchmarks.bad_pictures import TROUBLES, Image, night, noisy
from edgeseg import Frame
from edgeseg.sources import PICTURE_SUFFIXES
from edgeseg.truth import CameraTruth, Condition
from edgeseg.truth.camera_truth import LOOK_EVERY_NS, see_nothing
from edgeseg.truth.signs import read_signs, shrink
from train.augment import add_haze, add_rain, darken
from train.corruptions import add_noise, recompress

DRIVE = Path(__file__).parents[1] / "examples" / "drive" / "highway.mp4"
GOOD: dict[str, Callable[[Image, Generator], Image]] = {
    "as it is": lambda image, rng: image,
    "dusk": lambda image, rng: darken(image, 0.5, rng),
    "night, street lamps": lambda image, rng: recompress(darken(image, 0.8, rng), 30),
    "night, headlights alone": night,
    "the same, compressed": lambda image, rng: recompress(night(image, rng), 40),
    "fog 0.5": lambda image, rng: add_haze(image, 0.5, rng),
    "fog 0.7": lambda image, rng: add_haze(image, 0.7, rng),
    "fog 0.85": lambda image, rng: add_haze(image, 0.85, rng),
    "fog 0.95": lambda image, rng: add_haze(image, 0.95, rng),
    "rain": lambda image, rng: add_rain(image, 1.0, rng),
    "noise, sigma 16": lambda image, rng: add_noise(image, 16.0, rng),
    "JPEG, quality 20": lambda image, rng: recompress(image, 20),
}
#: How a camera may encode: codec, options, bits a second or None for a constant quality.
ENCODERS: dict[str, tuple[str, dict[str, str], int | None]] = {
    "MJPEG": ("mjpeg", {}, 8_000_000),
    "H.264, quality 23": ("libx264", {"preset": "veryfast", "tune": "zerolatency", "crf": "23"}, None),
    "H.264, quality 35": ("libx264", {"preset": "veryfast", "tune": "zerolatency", "crf": "35"}, None),
    "H.264, 1 Mbit/s": ("libx264", {"preset": "veryfast", "tune": "zerolatency"}, 1_000_000),
    "H.264, 200 kbit/s": ("libx264", {"preset": "veryfast", "tune": "zerolatency"}, 200_000),
}
#: Encoded at the rate of looks, and as many seconds from key picture to key picture as x264 leaves at 25 a second.
RATE, KEY_EVERY_S, STREAM_S = 5, 10, 200


def read_pictures(place: Path, every: int) -> Iterator[Image]:
    """Every so manieth picture of a clip or of a folder."""
    if place.is_dir():
        files = sorted(path for path in place.rglob("*") if path.suffix.lower() in PICTURE_SUFFIXES)
        for path in files[::every]:
            yield np.asarray(cv2.imread(str(path)), np.uint8)
    else:
        for index, (_, image) in enumerate(play(place)):
            if index % every == 0:
                yield image


def play(clip: Path) -> Iterator[tuple[int, Image]]:
    """Every picture of a clip with its time in nanoseconds."""
    capture = cv2.VideoCapture(str(clip))
    fps = capture.get(cv2.CAP_PROP_FPS) or 25.0
    for index in range(1_000_000):
        done, image = capture.read()
        if not done:
            return
        yield round(index * 1e9 / fps), np.asarray(image, np.uint8)


def judge(image: Image) -> Condition:
    """What one picture on its own shows."""
    return see_nothing(read_signs(shrink(image))) or "ok"


def count(places: list[Path], every: int, change: Callable[[Image, Generator], Image]) -> Counter[Condition]:
    rng = np.random.default_rng(0)
    return Counter(judge(change(image, rng)) for place in places for image in read_pictures(place, every))


def tell(counts: Counter[Condition]) -> str:
    total = sum(counts.values())
    return ", ".join(f"{name} {number / total:.1%}" for name, number in counts.most_common()) + f" of {total}"


def measure_cost(image: Image, rounds: int = 300) -> None:
    image = np.asarray(cv2.resize(image, (1280, 720)), np.uint8)
    truth, spent = CameraTruth(), []
    for index in range(rounds):
        frame = Frame(image, index, index * LOOK_EVERY_NS, "bench")
        started = time.perf_counter()
        truth.look(frame)
        spent.append((time.perf_counter() - started) * 1e3)
    print(f"a look at 720p: best {min(spent):.3f} ms, median {np.median(spent):.3f} ms\n")


def play_through(clip: Path, change: Callable[[Image, Generator], Image]) -> list[str]:
    """What is said while a clip plays, each with its second."""
    truth, rng, said, last = CameraTruth(), np.random.default_rng(0), [], "ok"
    looked_ns = -LOOK_EVERY_NS
    for captured_ns, image in play(clip):
        if captured_ns - looked_ns < LOOK_EVERY_NS:
            continue
        looked_ns = captured_ns
        condition = truth.look(Frame(change(image, rng), 0, captured_ns, str(clip)))
        if condition != last:
            said.append(f"{condition} at {captured_ns / 1e9:.1f} s")
            last = condition
    return said


def encode(pictures: Iterator[Image], encoder: str) -> Iterator[Image]:
    """What comes out of a camera's encoder and our decoder."""
    codec, options, bit_rate = ENCODERS[encoder]
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="matroska") as target:
        stream = target.add_stream(codec, rate=RATE, options=options)
        stream.pix_fmt = "yuvj420p" if codec == "mjpeg" else "yuv420p"
        stream.gop_size = RATE * KEY_EVERY_S
        if bit_rate:
            stream.bit_rate = bit_rate
        for index, picture in enumerate(pictures):
            if index == 0:
                stream.height, stream.width = picture.shape[:2]
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts, frame.time_base = index, Fraction(1, RATE)
            target.mux(stream.encode(frame))
        target.mux(stream.encode(None))
    buffer.seek(0)
    with av.open(buffer) as source:
        for decoded in source.decode(video=0):
            yield decoded.to_ndarray(format="bgr24")


def watch(pictures: Iterator[Image]) -> str:
    """What is said first of pictures that come at RATE, and when."""
    truth = CameraTruth()
    for index, picture in enumerate(pictures):
        condition = truth.look(Frame(picture, index, round(index * 1e9 / RATE), "encoded"))
        if condition != "ok":
            return f"{condition} after {index / RATE:.1f} s"
    return "nothing said"


def still_scene(image: Image, sigma: float, seconds: int = STREAM_S) -> Iterator[Image]:
    """A camera that looks at something that does not move: nothing changes but the sensor's noise."""
    rng = np.random.default_rng(0)
    pool = [noisy(image, rng, sigma) for _ in range(23)] if sigma else [image]
    for index in range(seconds * RATE):
        # Never the same order of pictures twice in a stretch that matters.
        yield pool[(index * 7 + index // 23) % len(pool)]


def measure_streams(image: Image) -> None:
    image = np.asarray(cv2.resize(image, (640, 360), interpolation=cv2.INTER_AREA), np.uint8)
    print(f"\na stream of {STREAM_S} s, a key picture every {KEY_EVERY_S} s:")
    print(f"  not encoded, frozen: {watch(still_scene(image, 0))}; noise alone: {watch(still_scene(image, 0.5))}")
    for encoder in ENCODERS:
        frozen = watch(encode(still_scene(image, 0), encoder))
        live = ", ".join(f"sigma {sigma}: {watch(encode(still_scene(image, sigma), encoder))}" for sigma in (1, 3))
        print(f"  {encoder}: frozen: {frozen}; live and nothing moves, {live}")


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure camera truth.")
    parser.add_argument("places", nargs="*", type=Path, default=[DRIVE])
    parser.add_argument("--every", type=int, default=25)
    parser.add_argument("--no-streams", action="store_true")
    arguments = parser.parse_args()
    places: list[Path] = arguments.places
    first = next(read_pictures(places[0], 1))
    measure_cost(first)
    print("good pictures; everything but ok is a false alarm:")
    for name, change in GOOD.items():
        every = 1 if name == "as it is" else arguments.every
        print(f"  {name:24} {tell(count(places, every, change))}", flush=True)
    print("\npictures of a camera in trouble:")
    for name, (condition, change) in TROUBLES.items():
        found = tell(count(places, arguments.every, change))
        print(f"  {name:24} should be {condition:12} is {found}", flush=True)
    clips = [place for place in places if place.is_file()]
    if clips:
        print("\nclips played whole:")
    for clip in clips:
        for name in ("as it is", "night, headlights alone", "fog 0.85", "rain"):
            print(f"  {clip.name}, {name}: {', '.join(play_through(clip, GOOD[name])) or 'nothing said'}", flush=True)
    if not arguments.no_streams:
        measure_streams(first)


if __name__ == "__main__":
    main()
