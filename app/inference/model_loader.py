"""Loading of the model in a background thread, while the server already answers."""

import asyncio
import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING

from app.settings import Settings
from model.checkpoints.release_folder import DEMO_MODEL, ReleaseFolder, find_release_folder
from model.config import read_config
from model.errors import CheckpointError, HeadError, MedImageInsightError

if TYPE_CHECKING:
    from model.engine import EmbeddingEngine
    from model.heads.azure_classifier import AzureClassifier
    from model.heads.head import Head

logger = logging.getLogger("medimageinsight")

DEFAULT_HEAD = "default"
CLASSIFICATION = (
    "the model is a classification model of Azure, whose own head (%s, %d labels) serves /classify, and serves "
    "/score and /invocations for requests without a column of texts; all other requests get embeddings"
)
DEMONSTRATION = (
    "the demonstration model is used, which is small and is not MedImageInsight; for MedImageInsight, set MODEL (or "
    "--model) to its release folder, or to a Hugging Face id such as lion-ai/MedImageInsights, which is downloaded once"
)


@dataclass(frozen=True)
class LoadedModel:
    """A loaded model and its heads.

    Args:
        engine: the model on its device.
        imports_s: seconds that the imports took; the engine has the other load times.
        heads: the heads of the setting HEADS, by name.
        default_head: the head that belongs to the model itself, as in Azure's classification folders.
    """

    engine: "EmbeddingEngine"
    imports_s: float
    heads: Mapping[str, "Head"] = field(default_factory=dict)
    default_head: "Head | None" = None

    @property
    def named_heads(self) -> Mapping[str, "Head"]:
        """The heads by name. That of the model itself is called `default`, unless a head of HEADS has this name."""
        return self.heads if self.default_head is None else {DEFAULT_HEAD: self.default_head, **self.heads}


def find_model(settings: Settings) -> Path:
    """The local path of the model in `settings.model`; a Hugging Face id is downloaded first.

    Returns:
        A release folder or weights file; without `settings.model`, the folder of the demonstration model.

    Raises:
        CheckpointError: the path does not exist or cannot be read, or the download failed.
    """
    if not settings.model:
        return DEMO_MODEL
    try:
        path = Path(settings.model).expanduser()
        is_here = path.exists()
    except (OSError, RuntimeError) as error:  # no permission, a name that is too long, the home of an unknown user
        reason = getattr(error, "strerror", None) or "its user is unknown"
        raise CheckpointError(f"the model {settings.model} cannot be read ({reason})") from error
    if is_here:
        return path
    from model.checkpoints.hub import HubId, download

    hub_id = HubId.parse(settings.model)
    if hub_id is None:
        raise CheckpointError(f"no model at {path}: give a release folder, a weights file or a Hugging Face id")
    return download(hub_id, cache_dir=settings.cache_dir.expanduser(), offline=settings.offline)


def load_engine(settings: Settings) -> LoadedModel:
    """Find the model, import torch, and load the heads and the model.

    Raises:
        MedImageInsightError: the model, its config, a head or the device cannot be used; the message is one sentence.
    """
    path = find_model(settings)
    release = find_release_folder(path)
    if release.is_demonstration:  # before torch is imported, so that a wrong path fails at once
        logger.warning(DEMONSTRATION)
    # Set before the import of torch, which reads it once. Otherwise the threads of OpenMP wait actively at each
    # barrier and take CPU time from the threads that decode images.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    start = time.perf_counter()
    with _no_garbage_collection():
        import model.engine  # noqa: F401 (now, to measure it)

        imports_s = time.perf_counter() - start
        heads = _load_heads(settings, release)
        classifier = _read_classifier(settings, release)
        load_whole = cache(partial(_load_engine, settings, path))
        default_head = None
        if classifier is not None:
            facts = {"name": release.name, "weights_sha256": release.weights_sha256()}
            default_head = classifier.head(facts, load_whole)
            logger.info(CLASSIFICATION, default_head.kind, len(default_head.labels))
        if settings.image_only:
            load_whole.cache_clear()  # before the image encoder is loaded, so that memory never holds both
        engine = _load_engine(settings, path, image_only=True) if settings.image_only else load_whole()
    return LoadedModel(engine, imports_s, heads, default_head)


def _load_engine(settings: Settings, path: Path, *, image_only: bool = False) -> "EmbeddingEngine":
    from model.engine import EmbeddingEngine

    return EmbeddingEngine.load(
        path,
        device=settings.device,
        dtype=settings.dtype,
        threads=settings.threads or None,
        max_pixels=settings.max_image_pixels,
        image_only=image_only,
    )


def _read_classifier(settings: Settings, release: ReleaseFolder) -> "AzureClassifier | None":
    """The classifier of an Azure classification model. It is read before the model, as the heads are."""
    if release.azure_folder is None:
        return None
    from model.heads.azure_classifier import read_azure_classifier

    return read_azure_classifier(release, read_config(release.config).embedding_size, max_labels=settings.max_labels)


def _load_heads(settings: Settings, release: ReleaseFolder) -> dict[str, "Head"]:
    """The heads of the setting HEADS. They are read before the model, so that a wrong one is reported at once."""
    try:
        folders = [Path(folder.strip()).expanduser() for folder in settings.heads.split(",") if folder.strip()]
    except RuntimeError as error:
        raise HeadError("a folder in HEADS begins with ~ and an unknown user; give its whole path") from error
    if not folders:
        return {}
    from model.heads.served_heads import load_heads

    size = read_config(release.config).embedding_size
    try:
        return load_heads(folders, release, size, max_labels=settings.max_labels)
    except HeadError as error:
        raise HeadError(f"HEADS: {error}") from error


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Pause the garbage collector. The imports create 500,000 objects; collecting takes a quarter of the time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def load_in_background(settings: Settings, done: Callable[[LoadedModel | MedImageInsightError], None]) -> None:
    """Run `load_engine` in a thread, and call `done` on the event loop with its result or error.

    The thread is a daemon, so a download that lasts an hour does not delay the end of the process.
    """
    loop = asyncio.get_running_loop()

    def load() -> None:
        result: LoadedModel | MedImageInsightError
        try:
            result = load_engine(settings)
        except MedImageInsightError as error:
            result = error
        except Exception as error:  # any other failure must end the start too
            logger.exception("the model cannot be loaded")
            result = CheckpointError(
                f"the model cannot be loaded ({type(error).__name__}); the log contains the details"
            )
        with suppress(RuntimeError):  # the loop is closed, because the service was stopped
            loop.call_soon_threadsafe(done, result)

    threading.Thread(target=load, name="load", daemon=True).start()
