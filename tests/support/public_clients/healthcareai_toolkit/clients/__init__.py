"""Clients of the toolkit."""

from .medimage.medimageinsight import MedImageInsightClient

__all__ = ["MedImageInsightClient"]
