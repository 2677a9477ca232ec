"""Predictions of the command `classify`: how they are sorted, written to a file and shown on a terminal."""
