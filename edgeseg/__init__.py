"""edgeseg: real-time road, vehicle and person segmentation of driving pictures on small computers.

import cv2, edgeseg

image = cv2.imread("street.jpg")
with edgeseg.Segmenter() as segmenter:
    segmentation = segmenter.segment(image)
cv2.imwrite("overlay.png", edgeseg.draw_overlay(image, segmentation))
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "CLASSES": "classes",
    "IGNORE_INDEX": "classes",
    "SegmentClass": "classes",
    "EdgesegError": "errors",
    "Frame": "frame",
    "Segmentation": "frame",
    "TemporalFusion": "fusion",
    "ModelCard": "model_card",
    "read_card": "model_card",
    "draw_overlay": "overlay",
    "Segmenter": "segmenter",
}


def __getattr__(name: str) -> Any:
    """Import a public name when it is first used: the program must take signals, and print its help, before OpenCV,
    numpy and pydantic are loaded, which takes a second on a small board."""
    from importlib import import_module

    if name not in _HOMES:
        raise AttributeError(f"module 'edgeseg' has no attribute '{name}'")
    value = getattr(import_module(f"edgeseg.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
