"""Benchmarks. Each is a command: `python -m tests.benchmarks.NAME --help`. pytest does not collect them."""
