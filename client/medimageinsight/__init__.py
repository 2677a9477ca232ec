"""Client for MedImageInsight Server: medical images and texts to numpy arrays over HTTP. It needs no torch."""

from medimageinsight.async_client import AsyncClient
from medimageinsight.client import Client
from medimageinsight.errors import Failure, Refused, ServerUnreachable

__all__ = ["AsyncClient", "Client", "Failure", "Refused", "ServerUnreachable"]
