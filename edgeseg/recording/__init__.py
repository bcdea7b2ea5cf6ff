"""The recorder: one-minute segments that a power cut costs a second of."""
