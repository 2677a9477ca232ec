"""What FastAPI hands to the routes."""

from typing import Annotated

from fastapi import Depends, Request

from app.service import Service


async def service_of(request: Request) -> Service:  # a coroutine: FastAPI runs what is none in a thread
    service: Service = request.app.state.service
    return service


ServiceDependency = Annotated[Service, Depends(service_of)]
