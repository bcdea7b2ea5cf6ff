"""The recorder: segments of a minute, of which a kill or a power cut costs a second at most."""
