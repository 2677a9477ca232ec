"""The status and the body of every error, and the handlers that answer with them."""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from app.errors import (
    BodyTimeout,
    BodyTooLarge,
    ClientGone,
    ContentTypeUnsupported,
    DeadlineExceeded,
    EncodingFailed,
    KeyMissing,
    KeyWrong,
    ModelUnknown,
    NotReady,
    QueueFull,
    RequestIdTooLong,
    RequestInvalid,
    RowError,
    ServiceError,
    TextTooLong,
    TooManyRows,
    UrlNotAllowed,
    UrlNotFetched,
)
from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge, InvalidInput, TextInvalid

logger = logging.getLogger("medimageinsight")

STATUS: dict[type[Exception], tuple[int, str]] = {
    ModelUnknown: (404, "model_unknown"),
    KeyMissing: (401, "key_missing"),
    KeyWrong: (403, "key_wrong"),
    RequestInvalid: (400, "invalid_request"),
    ImageDecodeError: (400, "undecodable_image"),
    TextInvalid: (400, "invalid_text"),
    UrlNotAllowed: (400, "url_not_allowed"),
    UrlNotFetched: (400, "url_not_fetched"),  # not 5xx, which clients send again
    BodyTimeout: (408, "body_timeout"),
    BodyTooLarge: (413, "body_too_large"),
    TooManyRows: (413, "too_many_rows"),
    ImageTooLarge: (413, "image_too_large"),
    TextTooLong: (413, "text_too_long"),
    ContentTypeUnsupported: (415, "unsupported_content_type"),
    ImageFormatUnsupported: (415, "unsupported_image_format"),
    QueueFull: (429, "queue_full"),
    RequestIdTooLong: (431, "request_id_too_long"),
    EncodingFailed: (503, "encoding_failed"),
    NotReady: (503, "not_ready"),
    DeadlineExceeded: (504, "deadline_exceeded"),
}
CLIENT_CLOSED_REQUEST = 499  # nobody is there to read it; it keeps the log honest
_HTTP_CODES = {404: "not_found", 405: "method_not_allowed"}


def error_response(error: Exception, request_id: str = "") -> Response:
    """The one error body, for any exception."""
    headers: dict[str, str] = {}
    body: dict[str, Any] = {}
    if isinstance(error, RowError):
        status, body["code"] = STATUS[type(error.cause)]
        body |= {
            "message": f"Row {error.row}, column {error.column}: {error}.",
            "row": error.row,
            "column": error.column,
        }
    elif isinstance(error, ServiceError | InvalidInput):
        status, body["code"] = STATUS[type(error)]
        body["message"] = str(error)
        for key in ("row", "column"):
            if (value := getattr(error, key, None)) is not None:
                body[key] = value
        if status == 401:
            headers["www-authenticate"] = "Bearer"
        if status in (429, 503):
            headers["retry-after"] = str(getattr(error, "retry_after_s", None) or 1)
    elif isinstance(error, HTTPException):
        status = error.status_code
        body = {"message": f"{error.detail}.", "code": _HTTP_CODES.get(status, "http_error")}
        headers |= error.headers or {}
    else:
        logger.error("a fault of the service in request %s", request_id, exc_info=_without_message(error))
        status, body = (
            500,
            {"message": f"A fault of the service; its log names request {request_id}.", "code": "internal_error"},
        )
    return JSONResponse(body, status, headers)


def add_error_handlers(app: FastAPI) -> None:
    """Answer every expected exception of a route with `error_response`; the others reach `RequestIds`."""

    async def handle(request: Request, error: Exception) -> Response:
        return error_response(error, request.scope.get("state", {}).get("request_id", ""))

    async def note(_request: Request, _error: Exception) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    app.add_exception_handler(ClientGone, note)
    for kind in (ServiceError, RowError, InvalidInput, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, handle)


def _without_message(error: Exception) -> tuple[type[Exception], Exception, Any]:
    """The traceback with a bare exception of the same type: foreign messages may quote a payload."""
    return type(error), Exception(f"{type(error).__name__} (message withheld)"), error.__traceback__
