"""Camera truth: troubles are told apart, nothing is said too early or twice, and good pictures raise no alarm."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError

from benchmarks.bad_pictures import TROUBLES, cap, cover, defocus, expose, night, noisy
from benchmarks.camera_truth import encode, judge, play, still_scene
from edgeseg import Frame
from edgeseg.sources.synthetic import SyntheticSource
from edgeseg.truth import CameraTruth, Condition, TruthConfig

CARPARK = Path(__file__).parents[2] / "data" / "carpark" / "carpark.mp4"
LOOK_S = 0.2
Image = NDArray[np.uint8]


@pytest.fixture(scope="module")
def drive(bundled_clip: Path) -> list[Image]:
    """Four pictures of the bundled drive."""
    return [image for index, (_, image) in enumerate(play(bundled_clip)) if index % 70 == 0]


@pytest.fixture(scope="module")
def street(drive: list[Image]) -> Image:
    """The first picture of the bundled drive, 192x108: small is quick, and large enough to be judged."""
    return cv2.resize(drive[0], (192, 108), interpolation=cv2.INTER_AREA)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def scenes(street: Image) -> dict[Condition, list[Image]]:
    """Each condition as seven pictures that differ by their noise."""
    rng = np.random.default_rng(0)
    bad: dict[Condition, Image] = {
        "ok": street,
        "black": np.full_like(street, 3),
        "overexposed": expose(street, 6),
        "covered": cover(street, rng, 1.0, "hand"),
        "blurred": defocus(street, 0.02),
    }
    return {name: [noisy(image, rng, 2.0) for _ in range(7)] for name, image in bad.items()}


def watch(
    pictures: Iterable[Image], truth: CameraTruth | None = None, begin_s: float = 0.0
) -> list[tuple[float, Condition]]:
    """The changes of condition, each with its time, when pictures come five times a second."""
    truth = truth or CameraTruth()
    changes: list[tuple[float, Condition]] = []
    last = truth.condition
    for index, picture in enumerate(pictures):
        at_s = begin_s + index * LOOK_S
        condition = truth.look(Frame(picture, index, round(at_s * 1e9), "camera"))
        if condition != last:
            changes.append((round(at_s, 3), condition))
            last = condition
    return changes


def show(scenes: dict[Condition, list[Image]], *stays: tuple[Condition, float]) -> Iterator[Image]:
    """Each condition in turn for so many seconds."""
    for condition, seconds in stays:
        for index in range(round(seconds / LOOK_S)):
            yield scenes[condition][index % 7]


SURE = (
    *("cap", "cap, high gain", "exposure x6", "sun, radius 0.5"),
    *(f"{kind} over 100%" for kind in ("mud", "hand", "grey tape", "paper")),
    *("hand over 95%", "mud over 95%", "defocus 0.7%", "defocus 1.0%", "defocus 2.0%"),
)


@pytest.mark.parametrize("name", SURE)
def test_every_trouble_is_told_apart_from_every_other(name: str, drive: list[Image]) -> None:
    condition, trouble = TROUBLES[name]
    rng = np.random.default_rng(0)
    assert [judge(trouble(image, rng)) for image in drive] == [condition] * len(drive)


def test_good_pictures_are_good_by_day_and_night(drive: list[Image]) -> None:
    rng = np.random.default_rng(0)
    for image in drive:
        assert judge(image) == judge(defocus(image, 0.002)) == judge(night(image, rng)) == "ok"


def test_whole_drives_raise_no_alarm(bundled_clip: Path) -> None:
    for clip in (bundled_clip, CARPARK):
        truth = CameraTruth()
        assert {truth.look(Frame(image, 0, at_ns, str(clip))) for at_ns, image in play(clip)} == {"ok"}


def test_the_synthetic_source_raises_no_alarm() -> None:
    truth = CameraTruth(TruthConfig(frozen_after="2s"))  # type: ignore[arg-type]
    with SyntheticSource("synthetic:640x360@250") as source:
        for index in range(250):
            frame = source.read()
            assert frame is not None
            # As if it had been drawn 25 times a second.
            assert truth.look(Frame(frame.image, index, index * 40_000_000, "synthetic")) == "ok"


@pytest.mark.parametrize("condition", ["black", "overexposed", "covered", "blurred"])
def test_trouble_is_said_when_its_time_is_up_and_taken_back_when_it_is_over(
    condition: Condition, scenes: dict[Condition, list[Image]]
) -> None:
    changes = watch(show(scenes, ("ok", 2), (condition, 6), ("ok", 5)))
    assert changes == [(5.0, condition), (10.0, "ok")]


def test_trouble_that_passes_is_not_said_and_one_good_picture_takes_nothing_back(
    scenes: dict[Condition, list[Image]],
) -> None:
    assert watch(show(scenes, *([("covered", 2.8), ("ok", 0.2)] * 5))) == []
    changes = watch(show(scenes, ("covered", 4), *([("ok", 1.8), ("covered", 0.2)] * 5)))
    assert changes == [(3.0, "covered")]


def test_one_trouble_follows_another_without_good_pictures_between(scenes: dict[Condition, list[Image]]) -> None:
    changes = watch(show(scenes, ("ok", 1), ("covered", 5), ("black", 5), ("overexposed", 5)))
    assert changes == [(4.0, "covered"), (9.0, "black"), (14.0, "overexposed")]


def test_two_troubles_in_turn_are_said_as_what_was_seen_most(scenes: dict[Condition, list[Image]]) -> None:
    changes = watch(show(scenes, ("ok", 1), *([("blurred", 0.4), ("covered", 0.2)] * 10)))
    assert changes[0] == (4.0, "blurred")


@settings(max_examples=25)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ok", "black", "overexposed", "covered", "blurred"]),
            st.sampled_from([0.2, 0.4, 1.0, 1.8, 2.2, 3.0, 3.4, 6.0]),
        ),
        max_size=9,
    )
)
def test_whatever_happens_nothing_flaps_and_the_last_word_is_right(
    scenes: dict[Condition, list[Image]], stays: list[tuple[Condition, float]]
) -> None:
    for last in ("ok", "black"):
        changes = watch(show(scenes, *stays, (last, 7.0)))
        assert all(later - earlier >= 2.0 - 1e-6 for (earlier, _), (later, _) in pairwise(changes))
        assert all(before != after for (_, before), (_, after) in pairwise(changes))
        assert all(at_s >= 3.0 - 1e-6 for at_s, _ in changes[:1])
        assert (changes[-1][1] if changes else "ok") == last
        seen = {condition for condition, _ in stays} | {"ok", last}
        assert {condition for _, condition in changes} <= seen


def test_a_picture_at_the_threshold_does_not_flap(street: Image) -> None:
    """A dusk that hovers around what is called black: it is said once, and held on to."""
    rng = np.random.default_rng(0)
    levels = [22.0 + 5 * (index % 2) for index in range(100)]
    dark = [noisy(np.full_like(street, round(level)), rng, 1.0) for level in levels]
    assert watch([np.full_like(street, 20)] * 20 + dark) == [(3.0, "black")]


def test_a_frozen_picture_is_said_so_and_it_moves_again(scenes: dict[Condition, list[Image]]) -> None:
    ok = scenes["ok"]
    pictures = [*ok, *[ok[0]] * 30, *ok * 3]
    config = TruthConfig(frozen_after="4s")  # type: ignore[arg-type]
    # It freezes with the eighth picture, at 1.4 s, and moves again from 7.6 s on.
    assert watch(pictures, CameraTruth(config)) == [(5.4, "frozen"), (9.6, "ok")]
    assert watch(pictures) == []


def test_a_frozen_black_picture_is_black(street: Image) -> None:
    config = TruthConfig(frozen_after="4s")  # type: ignore[arg-type]
    assert watch([np.zeros_like(street)] * 100, CameraTruth(config)) == [(3.0, "black")]


@pytest.mark.parametrize("encoder", ["MJPEG", "H.264, quality 23", "H.264, quality 35", "H.264, 200 kbit/s"])
def test_a_still_scene_is_not_frozen_however_it_is_encoded(encoder: str, street: Image) -> None:
    """The red light: at 10 s from key picture to key picture the stream repeats one picture for up to 10 s."""
    assert watch(encode(still_scene(street, 1.5, seconds=70), encoder)) == []


def test_a_frozen_picture_that_is_encoded_again_is_said_to_be_frozen_later(street: Image) -> None:
    config = TruthConfig(frozen_after="12s")  # type: ignore[arg-type]
    pictures = encode(still_scene(street, 0, seconds=130), "H.264, quality 35")
    ((at_s, condition),) = watch(pictures, CameraTruth(config))
    assert condition == "frozen"
    # Nine times as long, from when the first picture was complete.
    assert 12 < at_s < 125


def test_what_began_before_a_gap_or_a_step_back_does_not_count(scenes: dict[Condition, list[Image]]) -> None:
    for begin_s in (6.0, -5.0):
        truth = CameraTruth()
        assert watch(show(scenes, ("covered", 2.8)), truth) == []
        assert watch(show(scenes, ("covered", 5)), truth, begin_s) == [(begin_s + 3.0, "covered")]
    truth = CameraTruth(TruthConfig(frozen_after="4s"))  # type: ignore[arg-type]
    same = scenes["ok"][0]
    assert watch([same] * 20, truth) == []
    assert watch([same] * 20, truth, 10.0) == []


def test_what_was_said_stands_over_a_gap(scenes: dict[Condition, list[Image]]) -> None:
    truth = CameraTruth()
    assert watch(show(scenes, ("covered", 4)), truth) == [(3.0, "covered")]
    assert watch(show(scenes, ("covered", 4)), truth, 60.0) == []
    assert truth.condition == "covered"
    assert watch(show(scenes, ("ok", 4)), truth, 120.0) == [(122.0, "ok")]


def test_it_looks_five_times_a_second_however_many_pictures_come(street: Image) -> None:
    """Of a stream that is black but for every nineteenth picture, at 100 a second, it sees those alone."""
    truth, rng = CameraTruth(), np.random.default_rng(0)
    black = cap(street, rng)
    for index in range(1000):
        image = noisy(street, rng, 2.0) if index % 19 == 0 else black
        assert truth.look(Frame(image, index, index * 10_000_000, "camera")) == "ok"


def test_switched_off_it_says_nothing(scenes: dict[Condition, list[Image]]) -> None:
    assert watch(show(scenes, ("black", 10)), CameraTruth(TruthConfig(enabled=False))) == []


def test_the_configuration_is_durations() -> None:
    config = TruthConfig.model_validate({"after": "5s", "frozen_after": "1m"})
    assert (config.after, config.ok_after, config.frozen_after) == (5.0, 2.0, 60.0)
    assert TruthConfig.model_json_schema()
    with pytest.raises(ValidationError, match="duration"):
        TruthConfig.model_validate({"after": 5})
