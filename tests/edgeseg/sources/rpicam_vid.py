"""Stands in for rpicam-vid, with the options of the real one that are used, and writes real MJPEG or H.264.

Its pictures are numbered. It writes its arguments, one a line, into the file that RPICAM_LOG names.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from fractions import Fraction
from pathlib import Path

import av
import cv2

from tests.edgeseg.clips import numbered_picture


def main() -> None:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("-n", "--nopreview", action="store_true", required=True)
    parser.add_argument("-t", "--timeout", type=int, required=True)
    parser.add_argument("-v", "--verbose", type=int, default=1)
    parser.add_argument("--codec", choices=["h264", "mjpeg"], default="h264")
    parser.add_argument("--flush", action="store_true")
    parser.add_argument("--inline", action="store_true")
    parser.add_argument("--camera", type=int, default=0)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--framerate", type=float, default=30)
    parser.add_argument("-o", "--output", choices=["-"], required=True)
    options = parser.parse_args()
    if log := os.environ.get("RPICAM_LOG"):
        Path(log).write_text("\n".join(sys.argv[1:]))
    if options.camera:
        sys.exit("ERROR: *** no cameras available ***")
    encoder = av.CodecContext.create("libx264", "w")
    encoder.width, encoder.height, encoder.pix_fmt = options.width, options.height, "yuv420p"
    encoder.time_base = Fraction(1, 30)
    encoder.options = {"preset": "ultrafast", "tune": "zerolatency", "x264-params": "repeat-headers=1:keyint=30"}
    for number in range(10_000):
        picture = numbered_picture(number, options.width, options.height)
        if options.codec == "mjpeg":
            data = cv2.imencode(".jpg", picture)[1].tobytes()
        else:
            frame = av.VideoFrame.from_ndarray(picture, format="bgr24")
            frame.pts = number
            data = b"".join(bytes(packet) for packet in encoder.encode(frame))
        sys.stdout.buffer.write(data)
        sys.stdout.buffer.flush()
        time.sleep(1 / options.framerate)


if __name__ == "__main__":
    main()
