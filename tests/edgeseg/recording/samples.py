"""Coded pictures and files of them, without a recorder around them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path

import numpy as np

from edgeseg.recording.fragments import ParameterSets, Sample, read_access_unit, write_fragment, write_header
from edgeseg.sinks.h264 import SOFTWARE, H264Encoder

SIZE_WH = (160, 96)
#: Ticks from one picture to the next, at 25 a second.
STEP = 3600


@cache
def encode(count: int, group: int = 5) -> tuple[tuple[Sample, ...], ParameterSets]:
    """Returns so many coded pictures, every `group`th a keyframe; picture n is as bright as 10 + 2 n."""
    encoder = H264Encoder(SOFTWARE, *SIZE_WH)
    samples, sets = [], None
    for index in range(count):
        picture = np.full((SIZE_WH[1], SIZE_WH[0], 3), (10 + 2 * index) % 250, np.uint8)
        for packet in encoder.encode(picture, index * STEP, keyframe=index % group == 0):
            sample, found = read_access_unit(bytes(packet), packet.pts or 0)
            sets = sets or found
            assert sample is not None
            samples.append(sample)
    assert sets is not None
    return tuple(samples), sets


def cut_up(samples: Sequence[Sample], per_fragment: int) -> list[bytes]:
    """Returns the fragments of so many pictures each."""
    ends = [sample.pts for sample in samples[per_fragment::per_fragment]] + [samples[-1].pts + STEP]
    groups = [samples[at : at + per_fragment] for at in range(0, len(samples), per_fragment)]
    return [write_fragment(number, group, end) for number, (group, end) in enumerate(zip(groups, ends, strict=True), 1)]


def write_video(path: Path, count: int = 20, *, per_fragment: int = 5, references: int = 20) -> list[int]:
    """Writes a file as it grows, not completed; returns where header and fragments end, in bytes."""
    samples, sets = encode(count)
    parts = [write_header(*SIZE_WH, sets, references), *cut_up(samples, per_fragment)]
    path.write_bytes(b"".join(parts))
    return [sum(map(len, parts[: index + 1])) for index in range(len(parts))]
