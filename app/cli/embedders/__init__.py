"""Embedders of the commands: with an engine in this process, or with a server."""
