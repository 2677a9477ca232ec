"""The route that compares two lists of images or texts."""

from functools import partial

import numpy as np
from fastapi import APIRouter, Request
from fastapi.responses import Response
from numpy.typing import NDArray

from app.api.bodies.json_body import read_json
from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation.answers import rows_answer
from app.api.documentation.examples import EXAMPLE_IMAGE, EXAMPLE_LABELS, EXAMPLE_SCALE
from app.api.documentation.operations import json_route
from app.api.execution import JobResult, execute
from app.api.request_parsing import ignoring_query
from app.api.responses import count_headers, ignored_header, json_response
from app.api.similarity.schema import SimilarityJob, SimilarityMatrix, parse_similarity
from app.errors import EncodingFailed, RowError, TextTooLong
from app.threads import in_thread

router = APIRouter(tags=["classification"])


@router.post(
    "/similarity",
    **json_route(
        "Compare images and texts",
        "SimilarityRequest",
        SimilarityMatrix,
        rows_answer(
            "The cosine similarity of each entry of `a` with each entry of `b`.",
            image_and_texts={"similarity": [[0.31, 0.28]], "scaling_factor": EXAMPLE_SCALE},
        ),
        image_and_texts={
            "a": {"images": [EXAMPLE_IMAGE]},
            "b": {"texts": EXAMPLE_LABELS},
        },
    ),
)
async def similarity(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Compare two lists, each of images or of texts: cosines, rows of `a` by columns of `b`."""
    parsed = parse_similarity(await read_json(request, service.settings), max_rows=service.settings.max_rows)
    try:
        result = await execute(request, service, model, ignoring_query(parsed.job, request))
    except (RowError, TextTooLong, EncodingFailed) as error:
        raise parsed.at_entry(error) from error
    cosines = await in_thread(service.scoring, partial(_cosines, parsed, result))
    content = {"similarity": cosines, "scaling_factor": model.engine.logit_scale}
    sent = ignored_header(result.job.ignored_params) | count_headers(result)
    return await json_response(content, request.headers, sent)


def _cosines(parsed: SimilarityJob, result: JobResult) -> NDArray[np.float64]:
    """Cosines (rows of a, rows of b)."""
    ordered = result.in_row_order.astype(np.float64)
    cosines: NDArray[np.float64] = ordered[: parsed.a_count] @ ordered[parsed.a_count :].T
    return cosines
