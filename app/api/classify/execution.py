"""Execution of a classification: labels and images are embedded, each image once per preprocessing."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from fastapi import Request

from app.api.classify.classifiers import OWN_LABELS, classifiers_of
from app.api.classify.own_labels import own_head, texts_of
from app.api.classify.schema import ClassifyJob
from app.api.classify.scoring import EmbeddedRows, check_answer_size, entries, scores_by_row
from app.api.error_handlers import row_answer
from app.api.execution import admitted, fetch
from app.api.json_parts import as_json
from app.errors import TooManyRows
from app.inference.admission import Reservation
from app.inference.bad_rows import BadRow, BadRows
from app.inference.items import EmbedOptions, Item
from app.inference.pipeline import Pipeline
from app.middleware.request_context import RequestContext
from app.service import ReadyModel, Service
from app.threads import in_thread
from model.imaging.preprocessing import Preprocessing

if TYPE_CHECKING:
    from model.heads.head import Head

INLINE_OPERATIONS = 2**20
"""Multiplications whose scores take less time than waking a thread."""


@dataclass(frozen=True)
class Classification:
    """The answer to a job.

    Args:
        rows: what orjson can write, per row.
        row_errors: errors by row, if bad rows are answered.
        truncated_texts: label texts that were longer than the context.
    """

    rows: Sequence[Any]
    row_errors: Mapping[int, BadRow]
    truncated_texts: int


async def execute_classification(
    request: Request, service: Service, model: ReadyModel, job: ClassifyJob
) -> Classification:
    """Classify the images of a job.

    Raises:
        ClientGone: the client disconnected.
        DeadlineExceeded: the answer would come too late.
        ServiceError, RowError: the job is refused; by a bad row only if bad rows are not answered.
    """
    settings, params, pipeline = service.settings, job.params, model.pipeline
    classifiers = classifiers_of(params, model, max_labels=settings.max_labels)
    check_answer_size(job.row_count, classifiers.labels, params.top_k, settings.max_body_bytes)
    preprocessings = classifiers.preprocessings(params)
    ways = list(dict.fromkeys(preprocessings.values()))
    _check_rows(job.row_count, len(ways), settings.max_rows)
    texts = texts_of(classifiers.prompts, with_absent=bool(params.multi_label))

    async def classify(context: RequestContext, reservation: Reservation) -> Classification:
        reservation.enlarge(job.row_count * len(ways))
        service.metrics.rows_admitted(len(job.images) * len(ways), len(texts))
        bad_rows = job.bad_rows
        own = await own_head(classifiers.prompts, texts, params, service, model, context, reservation)
        heads = {OWN_LABELS: own.head} if own else classifiers.heads
        by_way = await _embed_images(job.images, ways, service, pipeline, context, bad_rows)
        reservation.computed_items = context.timings.computed_items
        embedded = {name: by_way[way] for name, way in preprocessings.items()}
        answer = partial(_answer, job, heads, embedded, bad_rows, names_heads=classifiers.is_list)
        operations = job.row_count * sum(head.scorer.multiplications for head in heads.values())
        rows = answer() if operations <= INLINE_OPERATIONS else await in_thread(service.scoring, answer)
        return Classification(rows, bad_rows.errors, own.truncated_texts if own else 0)

    return await admitted(request, service, pipeline, job.row_count, classify)


def _check_rows(images: int, ways: int, max_rows: int) -> None:
    """Raise TooManyRows if the images, once per preprocessing, make more than MAX_ROWS rows."""
    if images * ways > max_rows:
        raise TooManyRows(
            f"The request has {images} images and heads with {ways} different preprocessings, which make "
            f"{images * ways} rows; at most {max_rows} are allowed: send fewer images or heads."
        )


async def _embed_images(
    images: Sequence[Item],
    ways: Sequence[Preprocessing],
    service: Service,
    pipeline: Pipeline,
    context: RequestContext,
    bad_rows: BadRows,
) -> dict[Preprocessing, EmbeddedRows]:
    """The good images by their preprocessing."""
    fetched = await fetch(context, service, images, bad_rows)
    if (bad_url := bad_rows.refusal) is not None:
        if fetched:  # a row before the bad one may be bad as well, and the first one is named
            await pipeline.embed(fetched, [], EmbedOptions(ways[0]), context.timings)
        raise bad_url
    embedded = {}
    for way in ways:
        features = await pipeline.embed(fetched, [], EmbedOptions(way), context.timings, bad_rows)
        embedded[way] = EmbeddedRows([item.row for item in bad_rows.good(fetched)], features.image_features)
    return embedded


def _answer(
    job: ClassifyJob,
    heads: "Mapping[str, Head]",
    embedded: Mapping[str, EmbeddedRows],
    bad_rows: BadRows,
    *,
    names_heads: bool,
) -> list[Any]:
    """The rows of the answer, as JSON, from the images that are embedded for each head."""
    scores = {name: scores_by_row(head, embedded[name], job.params) for name, head in heads.items()}
    rows: list[Any] = []
    for row in range(job.row_count):
        if row in bad_rows.errors:
            rows.append(as_json({"error": row_answer(bad_rows.errors[row])}))
        elif names_heads:
            rows.append(as_json({name: entries(head, scores[name][row], job.params) for name, head in heads.items()}))
        else:
            rows += [as_json(entries(head, scores[name][row], job.params)) for name, head in heads.items()]
    return rows
