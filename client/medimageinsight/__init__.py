"""Client for MedImageInsight Server: medical images and texts to embeddings and predictions. It needs no torch."""

from medimageinsight.async_client import AsyncClient
from medimageinsight.classifications import Prediction
from medimageinsight.client import Client
from medimageinsight.errors import Failure, Refused, ServerUnreachable

__all__ = ["AsyncClient", "Client", "Failure", "Prediction", "Refused", "ServerUnreachable"]
