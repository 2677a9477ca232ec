"""Errors of the client, and the record of an item that failed."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["image", "text"]


@dataclass(frozen=True)
class Failure:
    """An item that has no embedding.

    Args:
        item: number of the item in the call, counted from 0.
        kind: "image" or "text".
        code: error code of the server, such as `undecodable_image`; or of the client: `unreadable_file`,
            `unsupported_input` or `body_too_large`.
        message: what is wrong with the item.
    """

    item: int
    kind: Kind
    code: str
    message: str


class Refused(Exception):
    """The server refused a request.

    Attributes:
        status: HTTP status.
        code: error code of the server; `unknown` if the answer has none.
        item: number of the item that caused the refusal, counted from 0; None if no single item did.
        kind: "image" or "text"; None without `item`.
    """

    def __init__(self, status: int, code: str, message: str, item: int | None = None, kind: Kind | None = None) -> None:
        super().__init__(message if item is None else f"{kind or 'item'} {item}: {message}")
        self.status, self.code, self.message, self.item, self.kind = status, code, message, item, kind


class ServerUnreachable(Exception):
    """No MedImageInsight Server answers at the URL; the message names the URL and the likely cause."""
