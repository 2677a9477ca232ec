"""Embedder with a server, through the client package."""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from medimageinsight import Client, Failure, Refused, ServerUnreachable

from app.cli.options.shared import KEY_VARIABLE
from app.cli.options.typed_command import without_secrets
from model.embedder import Embedder, KeyedImage, in_parts, shortened
from model.embedding_cache import Embedding, EmbeddingCache
from model.errors import CheckpointError, InvalidInput
from model.imaging.preprocessing import Preprocessing

ITEMS_PER_CALL = 512  # of the client: enough for its parallel requests; the cache keeps the results of every call


class ServerEmbedder(Embedder):
    """Embeds with a server.

    Args:
        client: open client of the server.
        cache, preprocessing, progress: as for `Embedder`.
    """

    def __init__(
        self,
        client: Client,
        *,
        cache: EmbeddingCache | None = None,
        preprocessing: Preprocessing = Preprocessing(),  # noqa: B008 (frozen)
        progress: bool = False,
    ) -> None:
        super().__init__(cache=cache, preprocessing=preprocessing, progress=progress)
        self._client = client

    def compute_logit_scale(self) -> float:
        return float(self._client.info()["model"]["scaling_factor"])

    def compute_texts(self, texts: Sequence[str]) -> Iterator[Sequence[Embedding]]:
        for part in in_parts(texts, ITEMS_PER_CALL):
            try:
                embeddings = self._client.embed_texts(list(part))
            except Refused as error:
                if error.item is None:
                    raise
                raise InvalidInput(f"the text {shortened(part[error.item])}: {error}") from error
            yield list(embeddings)

    def compute_images(self, images: Sequence[KeyedImage]) -> Iterator[Mapping[bytes, Embedding | str]]:
        params = self._preprocessing.params()
        for part in in_parts(images, ITEMS_PER_CALL):
            failures: list[Failure] = []
            # A whole file is handed over as its path: the client reads it when a request has room for it.
            items = [image.path if image.offset < 0 else image.read() for _, image in part]
            embeddings = self._client.embed_images(items, errors="skip", failures=failures, **params)
            refused = {failure.item: failure.message for failure in failures}
            yield {key: refused.get(item, embeddings[item]) for item, (key, _) in enumerate(part)}


@contextmanager
def open_client(url: str, api_key: str) -> Iterator[Client]:
    """Open a client whose errors are those of `model`.

    Args:
        url: URL of the server.
        api_key: API key for the server; empty sends none.

    Raises:
        CheckpointError: no server answers.
        InvalidInput: the server refuses a request, or the key; the sentence names the variable that holds the key.
    """
    try:
        with Client(url, api_key=api_key or None, progress=False) as client:
            yield client
    except Refused as error:
        if error.status in (HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN):
            raise InvalidInput(_about_the_key(url, error.status, has_key=bool(api_key))) from error
        raise InvalidInput(f"the server refused a request: {error}") from error
    except ServerUnreachable as error:
        raise CheckpointError(str(error)) from error


def _about_the_key(url: str, status: int, *, has_key: bool) -> str:
    shown = without_secrets(url)
    if "@" in shown:
        return (
            f"the server at {shown} refuses the user name and password of the URL ({status}), which are sent instead "
            f"of the API key; leave them out of --server, and set the environment variable {KEY_VARIABLE} to a key"
        )
    if has_key:
        return (
            f"the server at {shown} refuses the API key of the environment variable {KEY_VARIABLE} ({status}); set the "
            "variable to a key that the server knows"
        )
    return f"the server at {shown} asks for an API key ({status}); set the environment variable {KEY_VARIABLE} to it"


def fingerprint_of_server(info: Mapping[str, Any]) -> str:
    """What determines the embeddings of a server: its model, device, number format and version, from `GET /info`."""
    identity = json.dumps(["server", *(info[key] for key in ("model", "device", "dtype", "version"))], sort_keys=True)
    return hashlib.sha256(identity.encode()).hexdigest()
