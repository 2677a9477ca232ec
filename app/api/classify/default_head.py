"""Answers of Azure's routes while a classification model of Azure is served: its head classifies images."""

from fastapi import Request
from fastapi.responses import Response

from app.api.classify.execution import execute_classification
from app.api.classify.schema import ClassifyJob, ClassifyParams
from app.api.embed_job import EmbedJob
from app.api.responses import answer_job, count_headers, ignored_header, json_response
from app.service import ReadyModel, Service


async def classify_or_embed(
    request: Request, service: Service, model: ReadyModel, job: EmbedJob, *, wrapped_in: str = ""
) -> Response:
    """Answer images with the labels and scores of the model's own head; embed without it, or with a column of texts.

    Args:
        request: see `answer_job`.
        service: see `answer_job`.
        model: the model; its `default_head` classifies.
        job: the parsed request.
        wrapped_in: key of an object that the answer is put into; "" leaves the answer as it is.
    """
    if model.default_head is None or not job.only_images:
        return await answer_job(request, service, model, job, wrapped_in=wrapped_in)
    classify_job = _as_classification(job)
    result = await execute_classification(request, service, model, classify_job)
    sent = ignored_header(classify_job.ignored_params) | count_headers(result)
    rows = list(result.rows)
    return await json_response({wrapped_in: rows} if wrapped_in else rows, request.headers, sent)


def _as_classification(job: EmbedJob) -> ClassifyJob:
    """The same images with the parameters that both kinds of requests have; the others are ignored."""
    names = job.params.model_fields_set
    shared = names & ClassifyParams.model_fields.keys()
    params = ClassifyParams().model_copy(update={name: getattr(job.params, name) for name in shared})
    ignored = [*job.ignored_params, *sorted(names - shared)]
    return ClassifyJob(job.row_count, job.images, params, ignored, job.row_errors)
