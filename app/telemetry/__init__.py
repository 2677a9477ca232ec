"""Metrics, traces, log format and stage timings. Imports nothing of the app but its settings."""
