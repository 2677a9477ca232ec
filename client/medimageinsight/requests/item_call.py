"""One call with many items: several requests at once, and one result per item."""

import asyncio
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Literal, TypeVar

from tqdm.auto import tqdm

from medimageinsight.errors import Failure, Kind, Refused
from medimageinsight.requests.parts import MAX_IMAGES, MAX_TEXTS, Envelope, PartWriter, Row
from medimageinsight.requests.transport import RowRefused, Transport

OnError = Literal["raise", "skip"]
Result = TypeVar("Result")

_ITEM_STATUSES = (400, 413, 415)  # statuses that say that the service cannot read a row itself


@dataclass(frozen=True)
class Route(Generic[Result]):
    """The route that answers a call.

    Args:
        path: path of the route.
        accept: media type of its answers.
        results: reads an answer; gives one result per row.
        rows_per_item: rows that the server may count an item as; default: 1.
    """

    path: str
    accept: str
    results: Callable[[bytes], Sequence[Result]]
    rows_per_item: int = 1


class ItemCall(Generic[Result]):
    """Gets the results of the items of one call.

    Args:
        kind: kind of all items.
        route: the route that gets the requests.
        params: parameters of the requests.
        info: answer of `GET /info`.
        transport: sends the requests.
        slots: one per request at once; shared by the calls of a client.
        errors: "raise" ends the call at the first failed item; "skip" leaves it out.
    """

    def __init__(
        self,
        kind: Kind,
        route: Route[Result],
        params: Mapping[str, Any],
        *,
        info: Mapping[str, Any],
        transport: Transport,
        slots: asyncio.Semaphore,
        errors: OnError,
    ) -> None:
        if errors not in ("raise", "skip"):
            raise ValueError(f'errors must be "raise" or "skip", not {errors!r}')
        self._kind, self._route, self._transport, self._slots, self._errors = kind, route, transport, slots, errors
        limits = info["limits"]
        self._envelope = Envelope.of(kind, params)
        self._writer = PartWriter(
            kind,
            self._envelope,
            max_rows=max(
                1, min(limits["max_rows"] // route.rows_per_item, MAX_IMAGES if kind == "image" else MAX_TEXTS)
            ),
            max_body_bytes=limits["max_body_bytes"],
            has_window=params.get("dicom_window") is not None,
            is_wanted=lambda: self._is_wanted,
            on_failure=self._record,
        )
        self._results: dict[int, Result] = {}
        self.failures: list[Failure] = []
        self._bar: Any = None
        self._is_wanted = True

    async def run(self, items: Sequence[Any], *, progress: bool) -> list[Result | None]:
        """Get the results.

        Args:
            items: the items; read one part at a time.
            progress: show a progress bar.

        Returns:
            One result per item, in their order; None for a failed item.
        """
        name = f"{self._kind}s"
        with tqdm(total=len(items), desc=name, unit=self._kind, disable=not progress) as bar:
            try:
                self._bar = bar
                await self._run(self._writer.parts(items))
            except BaseExceptionGroup as group:
                raise group.exceptions[0] from None
            finally:
                self._is_wanted = False  # ends the thread that may still read files for a cancelled call
        self.failures.sort(key=lambda failure: failure.item)
        return [self._results.get(item) for item in range(len(items))]

    async def _run(self, parts: Iterator[list[Row]]) -> None:
        """Send all parts. A part is written only when a slot is free, which bounds the memory."""
        async with asyncio.TaskGroup() as group:
            while True:
                await self._slots.acquire()
                try:
                    rows = await asyncio.to_thread(next, parts, None)
                except BaseException:
                    self._slots.release()
                    raise
                if rows is None:
                    self._slots.release()
                    return
                # The callback also runs for a task that is cancelled before it starts: one release per slot.
                group.create_task(self._send(rows)).add_done_callback(lambda _: self._slots.release())

    async def _send(self, rows: list[Row]) -> None:
        """Send the rows of a part. After a refusal of one row, the others are sent again: at most once per row."""
        while rows:
            try:
                answer = await self._transport.post(self._route.path, self._envelope.body(rows), self._route.accept)
            except RowRefused as error:
                refused = self._refused(error, rows)
                self._record(Failure(refused.item, self._kind, error.code, error.message), refused)
                rows = [row for row in rows if row.item != refused.item]
                continue
            self._results |= {row.item: result for row, result in zip(rows, self._route.results(answer), strict=True)}
            self._bar.update(len(rows))
            return

    def _refused(self, error: RowRefused, rows: Sequence[Row]) -> Any:
        if error.row is None or not 0 <= error.row < len(rows):
            raise Refused(error.status, error.code, error.message) from None
        refused = Refused(error.status, error.code, error.message, rows[error.row].item, self._kind)
        if error.status not in _ITEM_STATUSES:
            raise refused from None
        return refused

    def _record(self, failure: Failure, error: Exception) -> None:
        """Note a failed item; with errors="raise", raise its exception with the number of the item."""
        if self._errors == "raise":
            if not isinstance(error, Refused):
                error.add_note(f"The error is in {failure.kind} {failure.item} of the call, counted from 0.")
            raise error from None
        self.failures.append(failure)
        self._bar.update(1)


def report(failures: Sequence[Failure], collected: list[Failure] | None, count: int, result: str) -> None:
    """Put the failures into the caller's list. Without a list, warn once.

    Args:
        failures: the failed items of a call.
        collected: the caller's list.
        count: number of items of the call.
        result: what the result has for them, in words.
    """
    if collected is not None:
        collected.extend(failures)
    elif failures:
        first = failures[0]
        warnings.warn(
            f"{len(failures)} of {count} {first.kind}s failed, and {result}; the first is {first.kind} "
            f"{first.item}: {first.message} (failures=[] collects them)",
            stacklevel=3,
        )
