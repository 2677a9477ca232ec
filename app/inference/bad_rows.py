"""The bad rows of a request: the first one refuses it, or each one is answered in its place."""

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from app.errors import EncodingFailed, RequestInvalid, RowError, TextTooLong
from app.inference.items import Item

BadRow = RowError | RequestInvalid | TextTooLong | EncodingFailed
"""What can be wrong with one row; its `row` is a number."""

AnyItem = TypeVar("AnyItem", bound=Item)


class BadRows:
    """Collects the errors of a request's rows, one per row.

    Args:
        answered: True answers each bad row in its place, and computes the others; False refuses the request.
        known: errors by row that are known already; default: none.
    """

    def __init__(self, *, answered: bool = False, known: Mapping[int, BadRow] | None = None) -> None:
        self.answered = answered
        self.errors = dict(known or {})

    def add(self, error: BadRow) -> bool:
        """Keep an error, unless its row has one already. Returns whether later rows still matter."""
        self.errors.setdefault(row_of(error), without_traceback(error))
        return self.answered

    @property
    def refusal(self) -> BadRow | None:
        """The error of the first bad row, if it refuses the request."""
        return self.errors[min(self.errors)] if self.errors and not self.answered else None

    def good(self, items: Iterable[AnyItem]) -> list[AnyItem]:
        """The items whose rows have no error."""
        return [item for item in items if item.row not in self.errors]


@dataclass(frozen=True)
class ItemTask:
    """The task that embeds one item.

    Args:
        item: the item.
        done: the task.
        decoded: of an image: done when the image is decoded or refused; None for a text.
    """

    item: Item
    done: asyncio.Task[Any]
    decoded: asyncio.Future[None] | None = None


async def finish(tasks: Sequence[ItemTask], bad_rows: BadRows) -> None:
    """Wait for all tasks, or for the first bad row if it refuses the request.

    If bad rows are answered, the failures are added to `bad_rows`. The rest of such a row is cancelled.

    Args:
        tasks: of the images, in the order of their rows, then of the texts.
        bad_rows: what becomes of a bad row.

    Raises:
        Exception: the failure of the first bad row, if it refuses the request; or a fault of the service.
    """
    if not bad_rows.answered:
        await _finish_together(tasks)
        return
    rows: dict[int, list[ItemTask]] = defaultdict(list)
    for task in tasks:
        rows[task.item.row].append(task)
    finishing = [asyncio.create_task(_finish_row(row, bad_rows)) for row in rows.values()]
    try:
        await asyncio.gather(*finishing)
    finally:
        for waiting in finishing:  # after a fault, `gather` leaves the others waiting
            waiting.cancel()


async def _finish_row(tasks: Sequence[ItemTask], bad_rows: BadRows) -> None:
    try:
        await _finish_together(tasks)
    except (RowError, EncodingFailed) as error:
        bad_rows.add(error)
        for task in tasks:
            task.done.cancel()


async def _finish_together(tasks: Sequence[ItemTask]) -> None:
    """Wait for all tasks, or raise the first failure: an earlier image may turn out to be bad after a later one."""
    await asyncio.wait([task.done for task in tasks], return_when=asyncio.FIRST_EXCEPTION)
    failed = next((number for number, task in enumerate(tasks) if _failure(task)), None)
    if failed is None:
        return
    for task in tasks[failed + 1 :]:
        task.done.cancel()
    if undecided := [task.decoded for task in tasks[:failed] if task.decoded is not None]:
        await asyncio.wait(undecided)
    raise next(error for task in tasks if (error := _failure(task)))


def _failure(task: ItemTask) -> BaseException | None:
    return task.done.exception() if task.done.done() and not task.done.cancelled() else None


def row_of(error: BadRow) -> int:
    return error.row or 0


def without_traceback(error: BadRow) -> BadRow:
    """The error without tracebacks: their frames would keep the images of the request in memory."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def at_entry(error: BadRow, name: str, number: int, place: str = "") -> BadRow:
    """The same error, at an entry of a list in the request instead of a row.

    Args:
        error: at a row.
        name: of the list.
        number: of the entry.
        place: what the message calls the entry; empty makes it of name and number: `labels[3]`.
    """
    place = place or f"{name}[{number}]"
    if isinstance(error, RowError):
        return RowError(number, name, error.cause, place)
    sentence = str(error).removeprefix(f"Row {error.row}, column {error.column}: ")
    return type(error)(f"{place}: {sentence}", row=number, column=name)
