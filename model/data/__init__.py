"""Manifests and TSV files of images, texts and labels."""
