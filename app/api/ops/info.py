"""What `GET /info` answers."""

from app.api.documentation.document import DEMONSTRATION_NOTICE, RESEARCH_NOTICE
from app.api.ops.schema import Counters, Info, Limits, ModelFacts, StartupTimes
from app.service import ReadyModel, Service
from app.version import VERSION


async def info_of(service: Service, model: ReadyModel) -> Info:
    """Facts about the service; the first call reads the whole checkpoint to compute its hash."""
    engine, times = model.engine, model.engine.load_times
    return Info(
        model=_model_facts(service, model, await service.checkpoint_sha256()),
        heads=list(model.heads),
        device=str(engine.device),
        dtype=str(engine.dtype).removeprefix("torch."),
        threads=engine.threads,
        limits=_limits(service, model),
        startup=StartupTimes(imports_s=model.imports_s, load_s=times.load_s, warm_up_s=times.warm_up_s),
        counters=_counters(service, model),
        version=VERSION,
        notice=f"{DEMONSTRATION_NOTICE} {RESEARCH_NOTICE}" if service.is_demonstration else RESEARCH_NOTICE,
    )


def _model_facts(service: Service, model: ReadyModel, checkpoint_sha256: str) -> ModelFacts:
    engine = model.engine
    return ModelFacts(
        name=engine.release.name,
        demonstration=service.is_demonstration,
        checkpoint=engine.release.weights.name,
        checkpoint_sha256=checkpoint_sha256,
        embedding_size=engine.embedding_size,
        image_size=list(engine.config.image.image_size),
        context_length=engine.config.text.context_length,
        text_encoder=engine.reads_texts,
        scaling_factor=engine.logit_scale,
    )


def _limits(service: Service, model: ReadyModel) -> Limits:
    limits, settings = model.pipeline.limits, service.settings
    return Limits(
        max_batch_size=limits.max_batch_size,
        text_batch_tokens=limits.text_batch_tokens,
        concurrent_batches=limits.concurrent_batches,
        queue_size=settings.queue_size,
        queue_bytes=settings.queue_bytes,
        max_concurrent_requests=settings.max_concurrent_requests,
        max_rows=settings.max_rows,
        max_labels=settings.max_labels,
        max_body_bytes=settings.max_body_bytes,
        max_image_pixels=settings.max_image_pixels,
        max_text_chars=settings.max_text_chars,
        request_timeout_s=settings.request_timeout_s,
    )


def _counters(service: Service, model: ReadyModel) -> Counters:
    pipeline = model.pipeline
    return Counters(
        image_batches=pipeline.images.batches,
        images=pipeline.images.entries,
        text_batches=pipeline.texts.batches,
        texts=pipeline.texts.entries,
        text_cache_misses=pipeline.text_cache_misses,
        text_cache_hits=pipeline.text_cache_hits,
        shared_entries=pipeline.images.shared + pipeline.texts.shared,
        requests_in_flight=service.admission.requests,
        dropped_entries=pipeline.images.dropped + pipeline.texts.dropped,
    )
