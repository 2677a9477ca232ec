"""Routes for operators and probes."""
