"""Errors of the service. `app.api.error_handlers` maps each one to a status and a code.

ServiceError
├── KeyMissing, KeyWrong
├── ModelUnknown, HeadUnknown
├── TextEncoderNotLoaded
├── RequestInvalid
├── BodyTooLarge, TooManyRows, TextTooLong
├── ContentTypeUnsupported
├── HttpInvalid
├── RequestIdTooLong, HeaderTooLarge
├── HeaderTimeout, BodyTimeout
├── QueueFull
├── NotReady
├── DeadlineExceeded
└── EncodingFailed

InvalidInput (in `model.errors`): bad input in one row
├── TextOverContext
├── UrlNotAllowed
└── UrlNotFetched

RowError: an InvalidInput and its place in the request
ClientGone: no client waits for the response
KeysUnusable: a setting that keeps the service from starting
"""

from model.errors import InvalidInput


class ServiceError(Exception):
    """Base of the refusals. The message is one sentence that may be shown to anybody.

    Args:
        message: what is wrong, where, and what would be right.
        row: number of the row that is refused, if it is one row.
        column: column of that row, "image" or "text".
        retry_after_s: seconds after which another attempt may succeed.
    """

    def __init__(
        self, message: str, *, row: int | None = None, column: str | None = None, retry_after_s: int | None = None
    ) -> None:
        super().__init__(message)
        self.row, self.column, self.retry_after_s = row, column, retry_after_s


class KeyMissing(ServiceError):
    """Keys are set, and the request carries none."""


class KeyWrong(ServiceError):
    """Keys are set, and the request carries another one."""


class ModelUnknown(ServiceError):
    """The request names a model that is not served."""


class HeadUnknown(ServiceError):
    """The request names a head that is not loaded."""


class TextEncoderNotLoaded(ServiceError):
    """The request has texts, and the service was started without the text encoder."""


class RequestInvalid(ServiceError):
    """The request does not have the documented form."""


class BodyTooLarge(ServiceError):
    """The body has more bytes than allowed."""


class TooManyRows(ServiceError):
    """The request has more rows than allowed."""


class TextTooLong(ServiceError):
    """A text has more characters than allowed."""


class ContentTypeUnsupported(ServiceError):
    """The route does not read bodies of this type or encoding."""


class RequestIdTooLong(ServiceError):
    """A request id is longer than 100 characters."""


class HttpInvalid(ServiceError):
    """What arrived on a connection is not a request of HTTP/1.1."""


class HeaderTooLarge(ServiceError):
    """The request line and the headers have more bytes or fields than allowed."""


class HeaderTimeout(ServiceError):
    """The headers did not arrive in time."""


class BodyTimeout(ServiceError):
    """The body did not arrive in time."""


class QueueFull(ServiceError):
    """The queue has no room for the whole request."""


class NotReady(ServiceError):
    """The model is being loaded, failed to load, or the service is stopping."""


class DeadlineExceeded(ServiceError):
    """The deadline passed; the queued rows of the request are dropped."""


class EncodingFailed(ServiceError):
    """The device failed on an entry."""


class TextOverContext(InvalidInput):
    """A text has more tokens than the context, and the request does not want it cut."""


class UrlNotAllowed(InvalidInput):
    """An image URL, a redirect of it or an address behind it is not allowed. The message does not repeat the URL."""


class UrlNotFetched(InvalidInput):
    """No image could be fetched from a URL. The message repeats neither the URL nor the answer of its server."""


class RowError(Exception):
    """Bad input in one row of a request.

    Args:
        row: number of the row, counted from 0.
        column: "image" or "text".
        cause: what is wrong with the item.
        place: what the message calls the place; empty makes it of row and column.
    """

    def __init__(self, row: int, column: str, cause: InvalidInput, place: str = "") -> None:
        super().__init__(str(cause))
        cause.__traceback__ = cause.__cause__ = cause.__context__ = None  # their frames would keep the image in memory
        self.row, self.column, self.cause = row, column, cause
        self.place = place or f"Row {row}, column {column}"


class ClientGone(Exception):
    """The client disconnected; the queued rows of its request are dropped."""


class KeysUnusable(Exception):
    """The API keys cannot be read, or there are none; the message names the file or the variable."""
