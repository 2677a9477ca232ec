"""Lifecycle of the service: loading, ready, failed, stopping."""

import asyncio
import logging
import sys
from collections.abc import Callable, Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cachetools import LRUCache

from app.decoding.pool import WALL_PER_CPU, DecoderPool
from app.errors import NotReady
from app.inference.admission import Admission
from app.inference.model_loader import LoadedModel, load_in_background
from app.inference.pipeline import Pipeline, PipelineLimits
from app.inference.preprocessor import PreprocessingLimits
from app.inference.watchdog import watch
from app.remote_images.fetcher import ImageFetcher
from app.settings import Settings
from app.telemetry.metrics import Metrics
from model.checkpoints.release_folder import DEMO_MODEL
from model.cpus import available_cpus
from model.errors import MedImageInsightError

if TYPE_CHECKING:
    from model.engine import EmbeddingEngine
    from model.heads.head import Head

logger = logging.getLogger("medimageinsight")

LOADING_RETRY_S = 5
MAX_DECODERS = 8
MAX_CONCURRENT_BATCHES = 4
GPU_BATCH_SIZE, GPU_TEXT_BATCH_TOKENS, CPU_TEXT_BATCH_TOKENS = 32, 16384, 1024


class LabelHead(NamedTuple):
    """The head of a request's own labels, and how many of their texts were longer than the context."""

    head: "Head"
    truncated_texts: int


def _label_count(made: LabelHead) -> int:
    return len(made.head.labels)


@dataclass(frozen=True)
class ReadyModel:
    """A model that serves requests.

    Args:
        engine: the model on its device.
        pipeline: the way of requests to the engine.
        imports_s: seconds that the imports of the model's libraries took.
        heads: the heads that can be asked for, by name.
        default_head: the head of requests that name none.
        label_heads: heads of the labels of earlier requests; as many labels as the text cache holds texts. A label
            has two vectors, in float32 and in float64, and 1,000 characters of names and texts. 10,000 labels of
            1,024 numbers take about 350 MB.
    """

    engine: "EmbeddingEngine"
    pipeline: Pipeline
    imports_s: float
    heads: "Mapping[str, Head]"
    default_head: "Head | None"
    label_heads: LRUCache[Hashable, LabelHead]


class Service:
    """State of the application, kept in `app.state.service`."""

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        """Create the parts that need no model.

        Raises:
            AllowListInvalid: the settings' URL_ALLOWLIST cannot be used.
        """
        self.settings, self.metrics = settings, metrics or Metrics()
        self.model: ReadyModel | None = None
        self.failure: MedImageInsightError | None = None
        self.stopping = False
        self.admission = Admission(settings.queue_size, settings.queue_bytes, settings.max_concurrent_requests)
        self.fetcher = ImageFetcher.from_settings(settings)
        self.scoring = ThreadPoolExecutor(1, thread_name_prefix="score")  # torch makes a team of threads per caller
        self.decoders: DecoderPool | None = None
        self._checkpoint_sha256: asyncio.Future[str] | None = None
        self.on_ready: Callable[[], None] = lambda: None
        self.on_failure: Callable[[], None] = lambda: None
        self.on_unhealthy: Callable[[], None] = lambda: None
        self._watchdog: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start the decoders and the loading of the model, and return.

        Later `on_ready` or, after a line in the log, `on_failure` is called.
        """
        self.decoders = start_decoders(self.settings)
        load_in_background(self.settings, self._loading_done)

    def serve(self, loaded: LoadedModel) -> None:
        """Start the pipeline of a loaded model; the service is ready when this returns."""
        self.decoders = self.decoders or start_decoders(self.settings)
        limits = pipeline_limits(self.settings, loaded.engine)
        pipeline = Pipeline(loaded.engine, self.decoders, limits, on_batch=self.metrics.batch_computed)
        pipeline.start()
        label_heads: LRUCache[Hashable, LabelHead] = LRUCache(self.settings.text_cache_size, getsizeof=_label_count)
        self.model = ReadyModel(
            loaded.engine, pipeline, loaded.imports_s, loaded.named_heads, loaded.default_head, label_heads
        )
        self._watchdog = asyncio.create_task(
            watch(
                pipeline,
                device_timeout_s=self.settings.device_timeout_s,
                unhealthy_exit_s=self.settings.unhealthy_exit_s,
                on_unhealthy=lambda: self.on_unhealthy(),
            )
        )
        logger.info("the model is loaded: %s", _listed(_model_facts(self.model)))
        logger.debug("limits and times: %s", _listed(_limit_facts(self.settings, self.model)))

    async def drained(self) -> None:
        """Refuse new requests, and wait until those in flight are answered."""
        self.stopping = True
        while self.admission.requests:  # noqa: ASYNC110, a poll of 50 ms is enough at the end of a process
            await asyncio.sleep(0.05)

    def give_up(self) -> None:
        """Answer all requests in flight that the service is stopping."""
        if self.model is not None:
            self.model.pipeline.give_up(NotReady("The service is stopping."))

    async def stop(self) -> None:
        self.stopping = True
        if self._watchdog is not None:
            self._watchdog.cancel()
        if self.model is not None:
            await self.model.pipeline.stop()
        if self.decoders is not None:
            self.decoders.stop()
        if self.fetcher is not None:
            await self.fetcher.stop()
        self.scoring.shutdown(wait=False, cancel_futures=True)

    async def checkpoint_sha256(self) -> str:
        """The sha256 of the weights file, computed on the first call, and again after a failure."""
        engine = self.require_model().engine
        found = self._checkpoint_sha256
        if found is None or (found.done() and (found.cancelled() or found.exception())):
            found = asyncio.ensure_future(asyncio.to_thread(engine.release.weights_sha256))
            self._checkpoint_sha256 = found
        return await asyncio.shield(found)

    @property
    def is_demonstration(self) -> bool:
        """Whether the demonstration model is served, or is being loaded."""
        if self.model is not None:
            return self.model.engine.release.is_demonstration
        return not self.settings.model or Path(self.settings.model).expanduser().resolve() == DEMO_MODEL

    @property
    def why_not_ready(self) -> str | None:
        """One sentence, or None if requests are served."""
        if self.failure is not None:
            return "The model could not be loaded; the log says why."
        if self.stopping:
            return "The service is stopping."
        if self.model is None:
            return "The model is being loaded."
        if (silent_s := self.model.pipeline.device.silent_s) > self.settings.device_timeout_s:
            return f"The device has not answered for {silent_s:.0f} seconds; restart the service if this persists."
        if self.model.pipeline.decoders.is_broken:
            return (
                "The processes that decode images have ended or cannot be started, and are tried again; if this "
                "persists, give the system more memory, processes or open files."
            )
        if (silent_s := self.model.pipeline.decoders.hanging_s) > WALL_PER_CPU * self.settings.decode_timeout_s + 1:
            return f"No decoder has answered for {silent_s:.0f} seconds; restart the service if this persists."
        return None

    def require_model(self) -> ReadyModel:
        """The model that serves.

        Raises:
            NotReady: the model is being loaded, failed to load or does not answer, or the service is stopping.
        """
        if self.why_not_ready is not None or self.model is None:
            raise NotReady(self.why_not_ready or "", retry_after_s=LOADING_RETRY_S)
        return self.model

    def _loading_done(self, result: LoadedModel | MedImageInsightError) -> None:
        if self.stopping:
            return
        if isinstance(result, LoadedModel):
            self.serve(result)
            self.on_ready()
            return
        self.failure = result
        logger.error("the service does not start: %s", result)
        self.on_failure()


def start_decoders(settings: Settings) -> DecoderPool:
    """The decoders that the settings ask for; it must be called on the event loop."""
    cpus = min(available_cpus(), MAX_DECODERS)
    size = cpus if settings.decode_workers == "auto" else settings.decode_workers
    if size and sys.platform != "win32":
        return DecoderPool.of_processes(
            size, memory_bytes=settings.decode_memory_bytes, cpu_s=settings.decode_timeout_s
        )
    return DecoderPool.of_threads(settings.decode_threads or cpus, cpu_s=settings.decode_timeout_s)


def pipeline_limits(settings: Settings, engine: "EmbeddingEngine") -> PipelineLimits:
    """The limits that the settings name; a setting of 0 is replaced by a value for the device."""
    on_gpu = engine.device.type != "cpu"
    return PipelineLimits(
        max_batch_size=settings.max_batch_size or engine.images_per_forward or GPU_BATCH_SIZE,
        text_batch_tokens=settings.text_batch_tokens or (GPU_TEXT_BATCH_TOKENS if on_gpu else CPU_TEXT_BATCH_TOKENS),
        preprocessing=PreprocessingLimits(
            image_size=engine.config.image.image_size,
            max_pixels=settings.max_image_pixels,
            max_text_chars=settings.max_text_chars,
            text_threads=settings.decode_threads or min(engine.cpus, MAX_DECODERS),
        ),
        text_cache_size=settings.text_cache_size,
        batch_wait_s=settings.batch_wait_ms / 1000,
        concurrent_batches=1 if on_gpu else settings.concurrent_batches or min(engine.threads, MAX_CONCURRENT_BATCHES),
        reads_texts=engine.reads_texts,
    )


def _listed(facts: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in facts.items())


def _model_facts(model: ReadyModel) -> dict[str, Any]:
    engine = model.engine
    return {
        "model": engine.release.name,
        "device": engine.device,
        "dtype": str(engine.dtype).removeprefix("torch."),
        "threads": engine.threads,
        "decoders": model.pipeline.decoders.size,
        "heads": len(model.heads),
        "image_only": not engine.reads_texts,
    }


def _limit_facts(settings: Settings, model: ReadyModel) -> dict[str, Any]:
    engine, limits = model.engine, model.pipeline.limits
    return {
        "decode_workers": settings.decode_workers,
        "max_batch_size": limits.max_batch_size,
        "text_batch_tokens": limits.text_batch_tokens,
        "concurrent_batches": limits.concurrent_batches,
        "queue_size": settings.queue_size,
        "max_body_bytes": settings.max_body_bytes,
        "imports_s": round(model.imports_s, 2),
        "load_s": round(engine.load_times.load_s, 2),
        "warm_up_s": round(engine.load_times.warm_up_s, 2),
    }
