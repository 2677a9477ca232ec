"""Tests of request bodies as they arrive."""
