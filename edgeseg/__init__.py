"""edgeseg: real-time road, vehicle and person segmentation of driving pictures on small computers."""

__version__ = "0.1.0"
