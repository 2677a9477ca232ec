"""Embedders of the commands: with an engine in this process, or with a server."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import click

from app.cli.options import shown
from app.inference.model_loader import find_model, load_engine
from app.settings import Settings
from model.checkpoints.release_folder import find_release_folder
from model.data.image_files import FoundImages, find_images
from model.data.manifest import Manifest, check_images, read_manifest
from model.embedder import Embedder
from model.embedding_cache import EmbeddingCache, fingerprint
from model.engine_embedder import BATCH_SIZE, EngineEmbedder
from model.errors import ImageDecodeError
from model.imaging.formats import ACCEPTED
from model.imaging.preprocessing import Standardization

EXIT_SOME_FAILED = 1  # what could be read is written
MOST_NAMED_PATHS = 3  # in an error message


class NoImages(click.ClickException):
    """A command found no image, or could read none. It ends with status 1 and writes nothing."""

    exit_code = EXIT_SOME_FAILED

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the sentence as those of the other errors are."""
        click.echo(f"medimageinsight: {self.message}", file=file, err=True)


@dataclass(frozen=True)
class EmbeddingModel:
    """An embedder and the identity of its model.

    Attributes:
        embedder: embeds with the model.
        name: name of the model's release folder.
        weights_sha256: returns the hexadecimal SHA-256 of the weights; takes about a second per GB.
    """

    embedder: Embedder
    name: str
    weights_sha256: Callable[[], str]


@contextmanager
def open_embedder(
    settings: Settings, *, plain: bool, no_cache: bool, server: str | None = None, api_key: str = ""
) -> Iterator[EmbeddingModel]:
    """Open the model that the settings name, or that a server serves.

    Args:
        settings: the command's settings.
        plain: whether to skip the standardisation.
        no_cache: whether to compute every embedding, and keep none.
        server: URL of the server; None loads the model in this process when the cache lacks an embedding.
        api_key: API key for the server; empty sends none.

    Raises:
        CheckpointError: the model or the server cannot be used.
        InvalidInput: the server refuses an input.
    """
    standardization = None if plain else Standardization()
    if server is None:
        yield _local_model(settings, standardization, no_cache=no_cache)
        return
    from app.cli.server_embedder import ServerEmbedder, fingerprint_of_server, open_client

    with open_client(server, api_key) as client:
        info = client.info()
        cache = None if no_cache else _open_cache(settings, fingerprint_of_server(info))
        embedder = ServerEmbedder(client, cache=cache, standardization=standardization, progress=True)
        yield EmbeddingModel(embedder, info["model"]["name"], lambda: info["model"]["checkpoint_sha256"])


def _local_model(settings: Settings, standardization: Standardization | None, *, no_cache: bool) -> EmbeddingModel:
    from model.devices import pick_device, pick_dtype  # imports torch, which a server makes needless

    release = find_release_folder(find_model(settings))
    cache = None
    if not no_cache:
        device = pick_device(settings.device)
        variant = (device.type, str(pick_dtype(settings.dtype, device)))
        cache = _open_cache(settings, fingerprint(release, *variant))
    embedder = EngineEmbedder(
        lambda: load_engine(settings).engine,
        batch_size=settings.max_batch_size or BATCH_SIZE,
        threads=settings.decode_threads,
        cache=cache,
        standardization=standardization,
        progress=True,
    )
    return EmbeddingModel(embedder, release.name, release.weights_sha256)


def _open_cache(settings: Settings, model: str) -> EmbeddingCache:
    return EmbeddingCache(settings.cache_dir.expanduser() / "embeddings", model)


def find_files(
    paths: Sequence[Path], *, output: Path | None = None, verbose: bool = False, strict: bool = False
) -> FoundImages:
    """Find the image files among named files and in folders, and say on stderr what is skipped and what is left out.

    Args:
        paths: files and folders; see `model.data.image_files.find_images`.
        output: a folder whose files the command writes, and that is not read.
        verbose: whether to name each skipped file; default False counts them by reason.
        strict: whether a file that cannot be read ends the command; default False lists it.

    Raises:
        NoImages: nothing is left to read. No such error without `paths`.
        ImageDecodeError: a file or folder cannot be read and `strict`; the sentence names it.
    """
    found = find_images(paths, output=output, progress=True)
    if verbose:
        for path, reason in found.skipped:
            click.echo(f"skipped {shown(path)}: {reason}", err=True)
    if found.skipped:
        click.echo(found.summary, err=True)
    if strict and found.unreadable:
        path, reason = found.unreadable[0]
        raise ImageDecodeError(f"{path}: {reason}")
    list_left_out(found.unreadable)
    if paths and not found.files:
        looked_at = ", ".join(map(shown, paths)) if len(paths) <= MOST_NAMED_PATHS else f"{len(paths)} paths"
        unreadable = f"{len(found.unreadable)} unreadable" if found.unreadable else ""
        left_out = ", ".join(part for part in (found.summary, unreadable) if part) or "nothing is in there"
        raise NoImages(f"no image is found in {looked_at} ({left_out}); name image files, or folders with {ACCEPTED}")
    return found


def require_embedded(positions: Sequence[int], failed: int) -> None:
    """Raise NoImages if no image is embedded because all of them failed."""
    if failed and not positions:
        raise NoImages(f"no image can be read ({failed} failed), so nothing is written; each failure is named above")


def read_rows(path: Path, *, strict: bool) -> Manifest:
    """Read a manifest's rows, with or without texts and labels; if `strict`, read every image's header first.

    Raises:
        ManifestError: the manifest cannot be used, or has a bad row and `strict`.
    """
    manifest = read_manifest(path, strict=strict, needs_text=False)
    return check_images(manifest, strict=True) if strict else manifest


def list_left_out(reasons: Iterable[tuple[object, str]]) -> None:
    """Write one line per input that is left out to stderr: its name and the reason."""
    for name, reason in reasons:
        click.echo(f"left out {shown(name)}: {reason}", err=True)
