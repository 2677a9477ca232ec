"""The model of a command: in this process, or on a server."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache as cache_result

from app.inference.model_loader import find_model, load_engine
from app.settings import Settings
from model.checkpoints.release_folder import find_release_folder
from model.config import read_config
from model.embedder import Embedder
from model.embedding_cache import EmbeddingCache, fingerprint
from model.engine_embedder import BATCH_SIZE, EngineEmbedder
from model.imaging.preprocessing import Preprocessing


@dataclass(frozen=True)
class EmbeddingModel:
    """An embedder and the identity of its model.

    Attributes:
        embedder: embeds with the model.
        name: name of the model's release folder.
        weights_sha256: returns the hexadecimal SHA-256 of the weights; takes about a second per GB.
        embedding_size: number of dimensions of an embedding.
    """

    embedder: Embedder
    name: str
    weights_sha256: Callable[[], str]
    embedding_size: int


@contextmanager
def open_embedder(
    settings: Settings, *, preprocessing: Preprocessing, no_cache: bool, server: str | None = None, api_key: str = ""
) -> Iterator[EmbeddingModel]:
    """Open the model that the settings name, or that a server serves.

    Args:
        settings: the command's settings.
        preprocessing: how image files become the encoder's input.
        no_cache: whether to compute every embedding, and keep none.
        server: URL of the server; None loads the model in this process when the cache lacks an embedding.
        api_key: API key for the server; empty sends none.

    Raises:
        CheckpointError: the model or the server cannot be used.
        InvalidInput: the server refuses an input.
    """
    if server is None:
        yield _local_model(settings, preprocessing, no_cache=no_cache)
        return
    from app.cli.embedders.server_embedder import ServerEmbedder, fingerprint_of_server, open_client

    with open_client(server, api_key) as client:
        info = client.info()
        cache = None if no_cache else _open_cache(settings, fingerprint_of_server(info))
        embedder = ServerEmbedder(client, cache=cache, preprocessing=preprocessing, progress=True)
        served = info["model"]
        yield EmbeddingModel(
            embedder, served["name"], lambda: served["checkpoint_sha256"], int(served["embedding_size"])
        )


def _local_model(settings: Settings, preprocessing: Preprocessing, *, no_cache: bool) -> EmbeddingModel:
    from model.devices import pick_device, pick_dtype  # imports torch, which a server makes needless

    release = find_release_folder(find_model(settings))
    cache = None
    if not no_cache:
        device = pick_device(settings.device)
        variant = (device.type, str(pick_dtype(settings.dtype, device)))
        cache = _open_cache(settings, fingerprint(release, *variant))
    embedder = EngineEmbedder(
        cache_result(lambda: load_engine(settings).engine),  # once for all embedders that differ by preprocessing
        batch_size=settings.max_batch_size or BATCH_SIZE,
        threads=settings.decode_threads,
        cache=cache,
        preprocessing=preprocessing,
        progress=True,
    )
    embedding_size = read_config(release.config).embedding_size
    return EmbeddingModel(embedder, release.name, release.weights_sha256, embedding_size)


def _open_cache(settings: Settings, model: str) -> EmbeddingCache:
    return EmbeddingCache(settings.cache_dir.expanduser() / "embeddings", model)
