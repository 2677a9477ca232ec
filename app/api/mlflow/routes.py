"""The route of MLflow's scoring server and of SageMaker."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from app.api import openapi
from app.api.azure.routes import answer
from app.api.dependencies import ServiceDependency
from app.api.request_parsing import read_invocation

router = APIRouter(tags=["embeddings"])


@router.post("/invocations", **openapi.invocations_route())
async def invocations(request: Request, service: ServiceDependency) -> Response:
    """As `/embed`; also MLflow's `dataframe_split` and `dataframe_records`, answered as MLflow does."""
    service.ready_pipeline()
    work, is_mlflow = await read_invocation(request, service.settings)
    return await answer(request, service, work, wrapped_in="predictions" if is_mlflow else "")
