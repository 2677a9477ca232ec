"""Documentation of the errors: two answers that all routes share, each with a folded table of its codes."""

from typing import Any

from app.api.documentation.bodies import reference
from app.api.error_handlers import INTERNAL_ERROR, STATUS

_MEANINGS = {
    400: "The request is not HTTP/1.1, or its body or one of its rows is wrong; the message says where.",
    401: "The service has API keys, and the request has none.",
    403: "The API key is not accepted.",
    404: "There is no such route, no head or no model of this name; the message names those that there are.",
    405: "The route does not accept this method.",
    408: "The headers or the body did not arrive in time.",
    413: "The body, the number of its rows, a text, the pixels of an image, or the cost of decoding it exceed a limit.",
    415: "The content type or the image format is not accepted.",
    429: "The queue has no room for the whole request; nothing of it was computed.",
    431: "The headers are too large, or a request id is longer than 100 characters.",
    500: "The service failed.",
    503: "The model is being loaded, the service is stopping, the device or decoders do not answer, or memory is out.",
    504: "The deadline passed; the remaining computation was dropped.",
}
_OTHER_CODES = {404: ["not_found"], 405: ["method_not_allowed"], 500: [INTERNAL_ERROR]}
_REQUEST_ID = {"description": "Request id: the client's own, or a new one.", "schema": {"type": "string"}}
_RETRY_AFTER = {
    "description": "Seconds to wait, with 429 and 503.",
    "schema": {"type": "integer", "minimum": 1},
}


def _table(first_digit: int) -> str:
    """A Markdown table of the statuses, folded, so that the pages show it on demand."""
    rows = [
        f"| {status} | {_codes(status)} | {text} |"
        for status, text in _MEANINGS.items()
        if status // 100 == first_digit
    ]
    head = ["| status | code | when |", "|---|---|---|"]
    return "\n".join(["<details><summary>Statuses and codes</summary>", "", *head, *rows, "", "</details>"])


def _codes(status: int) -> str:
    codes = [code for known, code in STATUS.values() if known == status] + _OTHER_CODES.get(status, [])
    return ", ".join(f"`{code}`" for code in codes)


def _answer(sentence: str, first_digit: int, example: dict[str, Any]) -> dict[str, Any]:
    return {
        "description": f"{sentence}\n\n{_table(first_digit)}",
        "headers": {"x-request-id": _REQUEST_ID, "Retry-After": _RETRY_AFTER},
        "content": {"application/json": {"schema": reference("ErrorBody"), "example": example}},
    }


ERRORS = {
    "Refused": _answer(
        "The request is refused; the message says why.",
        4,
        {"message": "Row 0, column text: the value must be a string or null.", "code": "invalid_request", "row": 0},
    ),
    "Failed": _answer(
        "The service cannot answer now.", 5, {"message": "The model is being loaded.", "code": "not_ready"}
    ),
}
"""The answers by their names among the components."""
ERROR_REFERENCES = {
    status: {"$ref": f"#/components/responses/{name}"} for status, name in zip(("4XX", "5XX"), ERRORS, strict=True)
}
