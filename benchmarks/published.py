"""Published networks for benchmarks.designs, each written from its paper: the graph that infers, without the heads
that only training has.

They end in the logits at the stride that the paper has before it enlarges them, as ours do. Their ops are such as
XNNPACK's INT8 takes; benchmarks/published_layers.py says what gave way to that. Batch 1, RGB, x = (pixel - 128) / 128.
"""

from __future__ import annotations

from collections.abc import Callable

import keras

from benchmarks.published_dense import build_bisenet_v2, build_ddrnet_23_slim, build_pp_liteseg_t, build_stdc1
from benchmarks.published_inverted import build_fast_scnn, build_lraspp_mnv2, build_mnv4_conv_s, build_swiftnet_mnv2

#: Each takes height and width of the input, which divide by 32, and how many classes there are.
PUBLISHED: dict[str, Callable[[tuple[int, int], int], keras.Model]] = {
    "fast_scnn": build_fast_scnn,
    "bisenet_v2": build_bisenet_v2,
    "ddrnet_23_slim": build_ddrnet_23_slim,
    "stdc1": build_stdc1,
    "pp_liteseg_t": build_pp_liteseg_t,
    "swiftnet_mnv2": build_swiftnet_mnv2,
    "lraspp_mnv2": build_lraspp_mnv2,
    "mnv4_conv_s": build_mnv4_conv_s,
}
