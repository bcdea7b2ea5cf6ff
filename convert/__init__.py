"""From a trained Keras network to one .tflite file that a device can trust: calibrate, quantize, check, describe."""
