"""Classifiers on embeddings: adapters, their training and their files."""
