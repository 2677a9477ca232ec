"""The route that MLflow's scoring server and SageMaker have."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api.azure.schema import parse_table
from app.api.bodies.json_body import read_json
from app.api.classify.default_head import classify_or_embed
from app.api.dependencies import ModelDependency, ServiceDependency
from app.api.documentation.bodies import INVOCATION_BODY
from app.api.documentation.operations import EMBEDDINGS_OR_LABELS, embedding_route
from app.api.mlflow.schema import Predictions, is_mlflow, parse_data_frame
from app.api.request_parsing import content_type, ignoring_query, is_json, read_table

router = APIRouter(tags=["embeddings"])


@router.post(
    "/invocations",
    **embedding_route(
        "Embed images and texts (SageMaker's and MLflow's name)",
        INVOCATION_BODY,
        response_model=EMBEDDINGS_OR_LABELS | Predictions,
    ),
)
async def invocations(request: Request, service: ServiceDependency, model: ModelDependency) -> Response:
    """Embed as `/score` does, or MLflow's `dataframe_split` and `dataframe_records`, answered as MLflow does.

    A JSON body has the parameters in `params`. Beside a form they are in the query.
    """
    settings = service.settings
    if not is_json(content_type(request)):
        return await classify_or_embed(request, service, model, await read_table(request, settings))
    document = await read_json(request, settings)
    wrapped_in, parse = ("predictions", parse_data_frame) if is_mlflow(document) else ("", parse_table)
    job = ignoring_query(parse(document, max_rows=settings.max_rows).without_frames(), request)
    return await classify_or_embed(request, service, model, job, wrapped_in=wrapped_in)
