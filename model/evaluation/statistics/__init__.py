"""Metrics, thresholds and their confidence intervals."""
