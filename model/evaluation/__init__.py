"""Evaluation of a model on a manifest: scores, metrics with intervals, and the report."""
