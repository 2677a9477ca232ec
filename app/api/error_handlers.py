"""Status, code and body of every error response."""

import logging
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from types import MappingProxyType
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute
from starlette.types import Receive, Scope, Send

from app.errors import (
    BodyTimeout,
    BodyTooLarge,
    ClientGone,
    ContentTypeUnsupported,
    DeadlineExceeded,
    EncodingFailed,
    HeaderTimeout,
    HeaderTooLarge,
    HeadUnknown,
    HttpInvalid,
    KeyMissing,
    KeyWrong,
    ModelUnknown,
    NotReady,
    QueueFull,
    RequestIdTooLong,
    RequestInvalid,
    RowError,
    ServiceError,
    TextEncoderNotLoaded,
    TextOverContext,
    TextTooLong,
    TooManyRows,
    UrlNotAllowed,
    UrlNotFetched,
)
from app.inference.bad_rows import BadRow
from app.middleware.request_context import RequestContext
from model.errors import (
    DecoderFailed,
    ImageDecodeError,
    ImageFormatUnsupported,
    ImageTooCostly,
    ImageTooLarge,
    InvalidInput,
    OutOfMemory,
    TextInvalid,
)

logger = logging.getLogger("medimageinsight")

STATUS: dict[type[Exception], tuple[int, str]] = {
    ModelUnknown: (404, "model_unknown"),
    HeadUnknown: (404, "head_unknown"),
    KeyMissing: (401, "key_missing"),
    KeyWrong: (403, "key_wrong"),
    RequestInvalid: (400, "invalid_request"),
    HttpInvalid: (400, "invalid_http"),
    ImageDecodeError: (400, "undecodable_image"),
    DecoderFailed: (400, "decoder_failed"),  # not 5xx, because the decoder would crash on the image again
    TextInvalid: (400, "invalid_text"),
    TextEncoderNotLoaded: (400, "text_encoder_not_loaded"),
    TextOverContext: (400, "text_over_context"),
    UrlNotAllowed: (400, "url_not_allowed"),
    UrlNotFetched: (400, "url_not_fetched"),  # not 5xx, because clients retry 5xx
    HeaderTimeout: (408, "header_timeout"),
    BodyTimeout: (408, "body_timeout"),
    BodyTooLarge: (413, "body_too_large"),
    TooManyRows: (413, "too_many_rows"),
    ImageTooLarge: (413, "image_too_large"),
    ImageTooCostly: (413, "image_too_costly"),
    TextTooLong: (413, "text_too_long"),
    ContentTypeUnsupported: (415, "unsupported_content_type"),
    ImageFormatUnsupported: (415, "unsupported_image_format"),
    QueueFull: (429, "queue_full"),
    RequestIdTooLong: (431, "request_id_too_long"),
    HeaderTooLarge: (431, "header_too_large"),
    EncodingFailed: (503, "encoding_failed"),
    OutOfMemory: (503, "out_of_memory"),
    NotReady: (503, "not_ready"),
    DeadlineExceeded: (504, "deadline_exceeded"),
}
INTERNAL_ERROR = "internal_error"
CLIENT_CLOSED_REQUEST = 499  # no client receives it; the log and the metrics show it
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}
_DEFAULT_RETRY_AFTER_S = 1
_MAX_PATH_CHARS, _LEAST_LIKENESS = 100, 0.7  # of a path that is compared with the routes


class ErrorAnswer(JSONResponse):
    """The body of every error, as JSON. The log line of the request has the same code."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        place: Mapping[str, Any] = MappingProxyType({}),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__({"message": message, "code": code, **place}, status, headers)
        self._code = code

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        RequestContext.of(scope).error_code = self._code
        await super().__call__(scope, receive, send)


def error_response(error: Exception, request_id: str = "") -> Response:
    """The response to an exception.

    An exception that is not in `STATUS` is a fault of the service: it is logged with the request id, and answered with
    500 and no detail.
    """
    if isinstance(error, ClientGone):
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    if isinstance(error, RowError):
        return _refusal(error.cause, _row_message(error), {"row": error.row, "column": error.column})
    if isinstance(error, ServiceError):
        place = {"row": error.row, "column": error.column}
        return _refusal(error, str(error), {name: value for name, value in place.items() if value is not None})
    if isinstance(error, InvalidInput):
        return _refusal(error, str(error), {})
    logger.error("request %s failed by a fault of the service", request_id, exc_info=_without_message(error))
    message = f"The service failed on this request; its log has the details under request id {request_id}."
    return ErrorAnswer(500, INTERNAL_ERROR, message)


def row_answer(error: BadRow) -> dict[str, str]:
    """The code and the message that answer a bad row in its place."""
    if isinstance(error, RowError):
        return {"code": STATUS[type(error.cause)][1], "message": _row_message(error)}
    return {"code": STATUS[type(error)][1], "message": str(error)}


def _row_message(error: RowError) -> str:
    return f"{error.place}: {error}."


def add_error_handlers(app: FastAPI, routes: Sequence[BaseRoute]) -> None:
    """Replace the handlers of Starlette and FastAPI, which answer in a form of their own.

    All other exceptions reach the middleware `ErrorResponses`.

    Args:
        app: the application.
        routes: its routes, of which the answer to an unknown path names those that are documented.
    """
    methods = _documented_methods(routes)

    async def handle_http_exception(request: Request, error: HTTPException) -> Response:
        return _http_error(error, request, methods)

    async def handle_validation_error(_request: Request, _error: Exception) -> Response:
        return error_response(RequestInvalid("A parameter in the URL is not valid; the page /docs describes them."))

    app.add_exception_handler(HTTPException, handle_http_exception)  # type: ignore[arg-type]  # takes only this error
    app.add_exception_handler(RequestValidationError, handle_validation_error)


def _http_error(error: HTTPException, request: Request, methods: Mapping[str, str]) -> Response:
    """The response to an exception that Starlette raises before a route is called."""
    headers = dict(error.headers or {})
    if headers.get("Allow") == "GET":
        headers["Allow"] = "GET, HEAD"  # `HeadRequests` passes HEAD on as GET
    message = f"{error.detail}."
    if error.status_code == 404:
        message = f"The service has no such route; {_routes_instead(request, methods)}, and the page /docs lists all."
    elif error.status_code == 405:
        shown = f"as the page /docs shows{_page_to_try(request)}"
        message = f"The route does not accept this method; use {headers.get('Allow')}, {shown}."
    code = _HTTP_CODES.get(error.status_code, "http_error")
    return ErrorAnswer(error.status_code, code, message, headers=headers)


def _documented_methods(routes: Sequence[BaseRoute]) -> dict[str, str]:
    """The documented paths without parameters, each with its method."""
    documented = [route for route in routes if isinstance(route, APIRoute) and route.include_in_schema]
    return {route.path: min(route.methods or {"GET"}) for route in documented if "{" not in route.path}


def _routes_instead(request: Request, methods: Mapping[str, str]) -> str:
    """The route that is closest to the path of a request, which is not repeated; or all that read a body."""
    if close := get_close_matches(request.url.path[:_MAX_PATH_CHARS].lower(), methods, n=1, cutoff=_LEAST_LIKENESS):
        return f"the closest one is {methods[close[0]]} {close[0]}"
    return f"it reads POST requests on {', '.join(path for path in methods if methods[path] == 'POST')}"


def _page_to_try(request: Request) -> str:
    """Where a person whose browser opened a route for programs can try it."""
    has_page = request.app.state.service.settings.ui
    return ", or open the page / to try the service" if has_page and request.method == "GET" else ""


def _refusal(error: Exception, message: str, place: Mapping[str, Any]) -> Response:
    status, code = STATUS[type(error)]
    headers = {}
    if status == 401:
        headers["www-authenticate"] = "Bearer"
    if status in (429, 503):
        headers["retry-after"] = str(getattr(error, "retry_after_s", None) or _DEFAULT_RETRY_AFTER_S)
    return ErrorAnswer(status, code, message, place, headers)


def _without_message(error: Exception) -> tuple[type[Exception], Exception, Any]:
    """The traceback with a bare exception of the same type: messages of libraries may quote a payload."""
    return type(error), Exception(f"{type(error).__name__} (message withheld)"), error.__traceback__
