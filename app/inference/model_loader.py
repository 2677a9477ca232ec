"""Loads the model beside the running server, so that the port answers while it does."""

import asyncio
import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.settings import Settings
from model.checkpoints.release_folder import DEMO_MODEL, find_release_folder
from model.errors import CheckpointError, MedImageInsightError

if TYPE_CHECKING:
    from model.engine import EmbeddingEngine

logger = logging.getLogger("medimageinsight")

DEMONSTRATION = (
    "this is the embedded demonstration model, small and not MedImageInsight itself: for that, set MODEL (or --model) "
    "to its release folder, or to a Hugging Face id such as lion-ai/MedImageInsights, which is downloaded once"
)


@dataclass(frozen=True)
class LoadedModel:
    """An engine and how long its parts of the start took."""

    engine: "EmbeddingEngine"
    imports_s: float


def find_model(settings: Settings) -> Path:
    """The local path of the model that the settings name, downloaded if it is a Hugging Face id; else the embedded one.

    Raises:
        CheckpointError: it cannot be had.
    """
    if not settings.model:
        return DEMO_MODEL
    path = Path(settings.model).expanduser()
    if path.exists():
        return path
    from model.checkpoints.hub import HubId, download

    hub_id = HubId.parse(settings.model)
    if hub_id is None:
        raise CheckpointError(f"no model at {path}: name a release folder, a weights file or a Hugging Face id")
    return download(hub_id, cache_dir=settings.cache_dir.expanduser(), offline=settings.offline)


def load_engine(settings: Settings) -> LoadedModel:
    """Import what the model needs, find it, load it.

    Raises:
        MedImageInsightError: in one sentence, what is wrong with the model, its config or the device.
    """
    path = find_model(settings)
    if find_release_folder(path).is_demonstration:  # before torch is imported: a wrong path is told at once
        logger.warning(DEMONSTRATION)
    # Before torch is imported, which reads it once: OpenMP's threads otherwise spin at every barrier, and the
    # threads that decode images then hold the cores that they spin for.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    start = time.perf_counter()
    with _no_garbage_collection():
        from model.engine import EmbeddingEngine

        imports_s = time.perf_counter() - start
        engine = EmbeddingEngine.load(
            path,
            device=settings.device,
            dtype=settings.dtype,
            threads=settings.threads or None,
            max_pixels=settings.max_image_pixels,
        )
    return LoadedModel(engine, imports_s)


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Imports make half a million objects and next to no garbage: looking for it takes a quarter of their time."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def load_in_background(settings: Settings, done: Callable[[LoadedModel | MedImageInsightError], None]) -> None:
    """Call `load_engine` in a thread and hand its result, or its error, to `done` on the event loop.

    The thread is a daemon: a download of an hour must not outlive the process.
    """
    loop = asyncio.get_running_loop()

    def load() -> None:
        result: LoadedModel | MedImageInsightError
        try:
            result = load_engine(settings)
        except MedImageInsightError as error:
            result = error
        except Exception as error:  # a fault while loading must end the start, not hang it
            logger.exception("loading the model failed")
            result = CheckpointError(f"loading the model failed ({type(error).__name__}); the log has the details")
        with suppress(RuntimeError):  # the loop is closed: the service was stopped meanwhile
            loop.call_soon_threadsafe(done, result)

    threading.Thread(target=load, name="load", daemon=True).start()
