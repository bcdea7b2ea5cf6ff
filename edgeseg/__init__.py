"""edgeseg: real-time road, vehicle and person segmentation of driving pictures on small computers.

import cv2, edgeseg

image = cv2.imread("street.jpg")
with edgeseg.Segmenter() as segmenter:
    segmentation = segmenter.segment(image)
cv2.imwrite("overlay.png", edgeseg.draw_overlay(image, segmentation))
"""

from edgeseg.classes import CLASSES, IGNORE_INDEX, SegmentClass
from edgeseg.errors import EdgesegError
from edgeseg.frame import Frame, Segmentation
from edgeseg.fusion import TemporalFusion
from edgeseg.model_card import ModelCard, read_card
from edgeseg.overlay import draw_overlay
from edgeseg.segmenter import Segmenter

__version__ = "0.1.0"

__all__ = [
    "CLASSES",
    "IGNORE_INDEX",
    "EdgesegError",
    "Frame",
    "ModelCard",
    "SegmentClass",
    "Segmentation",
    "Segmenter",
    "TemporalFusion",
    "__version__",
    "draw_overlay",
    "read_card",
]
