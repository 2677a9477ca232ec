"""Arguments that FastAPI passes to the routes. They are coroutines: FastAPI runs other functions in a thread."""

from typing import Annotated

from fastapi import Depends, Request

from app.service import ReadyModel, Service


async def get_service(request: Request) -> Service:
    """The service of the application."""
    service: Service = request.app.state.service
    return service


async def get_model(request: Request) -> ReadyModel:
    """The model, before anything of the request's body is read.

    Raises:
        NotReady: the model is being loaded, failed to load or does not answer, or the service is stopping.
    """
    return (await get_service(request)).require_model()


ServiceDependency = Annotated[Service, Depends(get_service)]
ModelDependency = Annotated[ReadyModel, Depends(get_model)]
