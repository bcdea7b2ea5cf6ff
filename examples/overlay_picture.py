"""Draws the picture at the top of the README: the bundled model on one frame of the bundled drive.

    python examples/overlay_picture.py [CLIP] [--frame N] [--out examples/overlay.jpg]

It is also the shortest use of edgeseg from Python on a stream: the same TemporalFusion goes with every frame.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2

import edgeseg

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("clip", nargs="?", type=Path, default=HERE / "drive" / "highway.mp4")
    parser.add_argument("--frame", type=int, default=205, help="which frame to draw (default: %(default)s)")
    parser.add_argument("--out", type=Path, default=HERE / "overlay.jpg")
    options = parser.parse_args()

    video = cv2.VideoCapture(str(options.clip))
    frame_ms = 1e3 / (video.get(cv2.CAP_PROP_FPS) or 25.0)
    fusion = edgeseg.TemporalFusion()
    with edgeseg.Segmenter() as segmenter:
        for index in range(options.frame + 1):
            read, image = video.read()
            if not read:
                parser.error(f"{options.clip} has only {index} frames")
            # What is older than half a second no longer counts for the picture that is drawn.
            if index * frame_ms > options.frame * frame_ms - 500:
                frame = edgeseg.Frame(image, index, round(index * frame_ms * 1e6), str(options.clip))
                segmentation = segmenter.segment(frame, fusion)
    cv2.imwrite(str(options.out), edgeseg.draw_overlay(image, segmentation, legend=True))
    print(options.out, {name: round(share, 3) for name, share in segmentation.shares.items()})


if __name__ == "__main__":
    main()
