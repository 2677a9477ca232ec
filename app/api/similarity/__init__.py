"""Cosine similarity of two lists, each of images or of texts."""
