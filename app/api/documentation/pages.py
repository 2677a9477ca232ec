"""The files of the documentation pages, without ReDoc's request to a foreign host."""

from functools import cache
from pathlib import Path

import fastapi_offline
from fastapi import FastAPI
from fastapi.responses import Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

_FOLDER = Path(fastapi_offline.__file__).with_name("static")
_REDOC = "redoc.standalone.js"
_LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"
_NO_IMAGE = "data:,"  # ReDoc removes an image that cannot be shown


class PageFiles(StaticFiles):
    """The folder of fastapi-offline; in the script of ReDoc, the address of the logo is replaced."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        if path == _REDOC and scope["method"] == "GET":
            return Response(_redoc(), media_type="text/javascript")
        return await super().get_response(path, scope)


def serve_redoc_without_logo(app: FastAPI) -> None:
    """Serve `PageFiles` in place of the folder that fastapi-offline has mounted."""
    for route in app.routes:
        if isinstance(route, Mount) and route.name == "static-offline-docs":
            route.app = PageFiles(directory=_FOLDER)


@cache
def _redoc() -> str:
    return (_FOLDER / _REDOC).read_text(encoding="utf-8").replace(_LOGO, _NO_IMAGE)
