"""Decoders that crash, hang and hoard when an image asks them to."""
