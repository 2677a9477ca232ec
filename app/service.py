"""What the running service is: loading, ready, failed or stopping; and the pipeline, once there is one."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from app.errors import NotReady
from app.inference.admission import Admission
from app.inference.model_loader import LoadedModel, load_in_background
from app.inference.pipeline import Pipeline, PipelineLimits
from app.inference.watchdog import watch
from app.remote_images.fetcher import ImageFetcher
from app.settings import Settings
from app.telemetry.metrics import Metrics
from model.checkpoints.release_folder import DEMO_MODEL
from model.errors import MedImageInsightError

logger = logging.getLogger("medimageinsight")

LOADING_RETRY_S = 5
MOST_DECODE_THREADS = 8
MOST_BATCHES = 4
GPU_BATCH_SIZE, GPU_TEXT_BATCH_TOKENS, CPU_TEXT_BATCH_TOKENS = 32, 16384, 1024


class Service:
    """The state that hangs on `app.state.service`."""

    def __init__(self, settings: Settings, metrics: Metrics | None = None) -> None:
        """Make what there is before a model; raises AllowListUnusable for the settings' URL_ALLOWLIST."""
        self.settings, self.metrics = settings, metrics or Metrics()
        self.loaded: LoadedModel | None = None
        self.pipeline: Pipeline | None = None
        self.failure: MedImageInsightError | None = None
        self.stopping = False
        self.admission = Admission(settings.queue_size, settings.queue_bytes, settings.max_concurrent_requests)
        self.fetcher = ImageFetcher.of(settings)
        self._checkpoint_sha256: asyncio.Future[str] | None = None
        self.on_ready: Callable[[], None] = lambda: None
        self.on_failure: Callable[[], None] = lambda: None
        self.on_unhealthy: Callable[[], None] = lambda: None
        self._watching: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to load the model; returns at once. `on_ready` is told, or `on_failure` after a line in the log."""
        load_in_background(self.settings, self._loading_done)

    def serve(self, loaded: LoadedModel) -> None:
        """Make the pipeline of a loaded engine; from here on the service is ready."""
        self.loaded = loaded
        limits = pipeline_limits(self.settings, loaded)
        self.pipeline = Pipeline(loaded.engine, limits, on_batch=self.metrics.batch_computed)
        self.pipeline.start()
        self._watching = asyncio.create_task(
            watch(
                self.pipeline,
                device_timeout_s=self.settings.device_timeout_s,
                unhealthy_exit_s=self.settings.unhealthy_exit_s,
                on_unhealthy=lambda: self.on_unhealthy(),
            )
        )
        logger.info(
            "ready: %s", ", ".join(f"{name}={value}" for name, value in _summary(self.settings, loaded, self.pipeline))
        )

    async def drained(self) -> None:
        """Refuse new requests from here on, and wait until those in the house are answered."""
        self.stopping = True
        while self.admission.requests:  # noqa: ASYNC110, a stop is no place to save 50 ms
            await asyncio.sleep(0.05)

    def give_up(self) -> None:
        """Answer those in the house that the service is stopping."""
        if self.pipeline is not None:
            self.pipeline.give_up(NotReady("The service is stopping."))

    async def stop(self) -> None:
        self.stopping = True
        if self._watching is not None:
            self._watching.cancel()
        if self.pipeline is not None:
            await self.pipeline.stop()
        if self.fetcher is not None:
            await self.fetcher.stop()

    async def checkpoint_sha256(self) -> str:
        """The sha256 of the weights file, computed on the first call."""
        loaded, _ = self.ready_pipeline()
        if self._checkpoint_sha256 is None:
            self._checkpoint_sha256 = asyncio.ensure_future(asyncio.to_thread(loaded.engine.release.weights_sha256))
        return await asyncio.shield(self._checkpoint_sha256)

    @property
    def is_demonstration(self) -> bool:
        """Whether the embedded model is served, or about to be."""
        if self.loaded is not None:
            return self.loaded.engine.release.is_demonstration
        return not self.settings.model or Path(self.settings.model).expanduser().resolve() == DEMO_MODEL

    @property
    def why_not_ready(self) -> str | None:
        """One sentence, or None when requests are served."""
        if self.failure is not None:
            return "The model could not be loaded; the log says why."
        if self.stopping:
            return "The service is stopping."
        if self.pipeline is None:
            return "The model is being loaded."
        if (silent_s := self.pipeline.device.silent_s) > self.settings.device_timeout_s:
            return f"The device has not answered for {silent_s:.0f} seconds; restart the service if it stays so."
        return None

    def ready_pipeline(self) -> tuple[LoadedModel, Pipeline]:
        """The engine and the pipeline.

        Raises:
            NotReady: loading, failed, stopping, or the device does not answer.
        """
        if self.why_not_ready is not None or self.loaded is None or self.pipeline is None:
            raise NotReady(self.why_not_ready or "", retry_after_s=LOADING_RETRY_S)
        return self.loaded, self.pipeline

    def _loading_done(self, result: LoadedModel | MedImageInsightError) -> None:
        if self.stopping:
            return
        if isinstance(result, LoadedModel):
            self.serve(result)
            self.on_ready()
            return
        self.failure = result
        logger.error("not started: %s", result)
        self.on_failure()


def pipeline_limits(settings: Settings, loaded: LoadedModel) -> PipelineLimits:
    """The settings, with 0 replaced by what suits the device."""
    on_gpu = loaded.engine.device.type != "cpu"
    return PipelineLimits(
        max_batch_size=settings.max_batch_size or loaded.engine.images_per_forward or GPU_BATCH_SIZE,
        text_batch_tokens=settings.text_batch_tokens or (GPU_TEXT_BATCH_TOKENS if on_gpu else CPU_TEXT_BATCH_TOKENS),
        decode_threads=settings.decode_threads or min(loaded.engine.cpus, MOST_DECODE_THREADS),
        text_cache_size=settings.text_cache_size,
        max_text_chars=settings.max_text_chars,
        batch_wait_s=settings.batch_wait_ms / 1000,
        concurrent_batches=1 if on_gpu else settings.concurrent_batches or min(loaded.engine.threads, MOST_BATCHES),
    )


def _summary(settings: Settings, loaded: LoadedModel, pipeline: Pipeline) -> list[tuple[str, Any]]:
    engine, limits = loaded.engine, pipeline.limits
    return [
        ("model", engine.release.name),
        ("device", engine.device),
        ("dtype", str(engine.dtype).removeprefix("torch.")),
        ("threads", engine.threads),
        ("decode_threads", limits.decode_threads),
        ("max_batch_size", limits.max_batch_size),
        ("text_batch_tokens", limits.text_batch_tokens),
        ("concurrent_batches", limits.concurrent_batches),
        ("queue_size", settings.queue_size),
        ("max_body_bytes", settings.max_body_bytes),
        ("imports_s", round(loaded.imports_s, 2)),
        ("load_s", round(engine.load_times.load_s, 2)),
        ("warm_up_s", round(engine.load_times.warm_up_s, 2)),
    ]
