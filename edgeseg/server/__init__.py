"""The live page: the overlay and the numbers of a run, for a browser."""
