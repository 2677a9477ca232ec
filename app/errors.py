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

from model.errors import InvalidInput


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


class RowError(Exception):
    """Bad input in one row of a request; wraps the model's own complaint with the place."""

    def __init__(self, row: int, column: str, cause: InvalidInput) -> None:
        super().__init__(str(cause))
        self.row, self.column, self.cause = row, column, cause
