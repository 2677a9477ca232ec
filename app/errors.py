"""Every refusal of the service, and the one table that says which status it is.

ServiceError
├── KeyMissing, KeyWrong  keys are set, and the request has none of them
├── ModelUnknown          a model by a name that is not served
├── RequestInvalid        the body is not of the schema; says where
├── BodyTooLarge, TooManyRows, TextTooLong
├── ContentTypeUnsupported
├── RequestIdTooLong
├── BodyTimeout           the body did not arrive in time
├── QueueFull             no room for the whole request
├── NotReady              loading, failed to load, or stopping
├── DeadlineExceeded      the answer would come too late
└── EncodingFailed        the device failed on an entry

InvalidInput              (of `model.errors`) bad input in one row
├── UrlNotAllowed         an image's URL that the operator does not allow
└── UrlNotFetched         an image's URL behind which no image could be had

ClientGone                nobody waits for the answer: no refusal
"""

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge, InvalidInput, TextInvalid

logger = logging.getLogger("medimageinsight")


class ServiceError(Exception):
    """Base of the service's refusals; the message is one sentence that may be shown to anyone."""

    def __init__(
        self, message: str, *, row: int | None = None, column: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.row, self.column, self.retry_after_s = row, column, retry_after_s


class ClientGone(Exception):
    """The client went away; what was queued of its request is dropped."""


class ModelUnknown(ServiceError):
    """A model that is not the one that is served."""


class KeyMissing(ServiceError):
    """A request without a key."""


class KeyWrong(ServiceError):
    """A request with a key that is not accepted."""


class RequestInvalid(ServiceError):
    """The request is not of the documented shape."""


class BodyTooLarge(ServiceError):
    """More body bytes than allowed."""


class TooManyRows(ServiceError):
    """More rows than allowed."""


class TextTooLong(ServiceError):
    """More characters than allowed."""


class ContentTypeUnsupported(ServiceError):
    """A body of a kind that the route does not read."""


class RequestIdTooLong(ServiceError):
    """A request id that is longer than 100 characters."""


class BodyTimeout(ServiceError):
    """The body did not arrive in time."""


class QueueFull(ServiceError):
    """No room for the whole request."""


class NotReady(ServiceError):
    """Loading, failed to load, or stopping."""


class DeadlineExceeded(ServiceError):
    """The deadline passed; what was queued of the request is dropped."""


class EncodingFailed(ServiceError):
    """The device failed on an entry."""


class UrlNotAllowed(InvalidInput):
    """An image's URL, a redirect of it or an address behind it is not allowed; the message does not repeat it."""


class UrlNotFetched(InvalidInput):
    """An image's URL could not be fetched; the message repeats neither it nor what its server said."""


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


class RowError(Exception):
    """Bad input in one row of a request; wraps the model's own complaint with the place."""

    def __init__(self, row: int, column: str, cause: InvalidInput) -> None:
        super().__init__(str(cause))
        self.row, self.column, self.cause = row, column, cause


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
