"""A client for MedImageInsight Server; it needs no torch."""

from medimageinsight.client import AsyncClient, Client, Refused

__all__ = ["AsyncClient", "Client", "Refused"]
