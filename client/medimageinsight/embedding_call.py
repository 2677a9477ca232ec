"""One call of `embed_images` or `embed_texts`: several requests at once, and one row of the result per item."""

import asyncio
import io
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from tqdm.auto import tqdm

from medimageinsight.errors import Failure, Kind, Refused
from medimageinsight.parts import MAX_IMAGES, MAX_TEXTS, Envelope, PartWriter, Row
from medimageinsight.transport import RowRefused, Transport

OnError = Literal["raise", "skip"]
Vectors = NDArray[Any]

_NPZ = "application/x-npz"
_ITEM_STATUSES = (400, 413, 415)  # statuses that say that a row itself cannot be embedded


class EmbeddingCall:
    """Embeds the items of one call.

    Args:
        kind: kind of all items.
        params: parameters of the requests.
        info: answer of `GET /info`.
        transport: sends the requests.
        slots: one per request at once; shared by the calls of a client.
        errors: "raise" ends the call at the first failed item; "skip" leaves it out.
    """

    def __init__(
        self,
        kind: Kind,
        params: Mapping[str, Any],
        *,
        info: Mapping[str, Any],
        transport: Transport,
        slots: asyncio.Semaphore,
        errors: OnError,
    ) -> None:
        if errors not in ("raise", "skip"):
            raise ValueError(f'errors must be "raise" or "skip", not {errors!r}')
        if errors == "skip" and params["output_dtype"] in ("int8", "binary"):
            raise ValueError('errors="skip" needs an output_dtype with NaN; use float32 or float16, or errors="raise"')
        self._kind, self._info, self._transport, self._slots, self._errors = kind, info, transport, slots, errors
        limits = info["limits"]
        self._envelope = Envelope.of(kind, params)
        self._writer = PartWriter(
            kind,
            self._envelope,
            max_rows=min(limits["max_rows"], MAX_IMAGES if kind == "image" else MAX_TEXTS),
            max_body_bytes=limits["max_body_bytes"],
            has_window=params.get("dicom_window") is not None,
            is_wanted=lambda: self._is_wanted,
            on_failure=self._record,
        )
        self._dtype = np.float16 if params["output_dtype"] == "float16" else np.float32
        self._vectors: dict[int, Vectors] = {}
        self.failures: list[Failure] = []
        self._bar: Any = None
        self._is_wanted = True

    async def run(self, items: Sequence[Any], *, progress: bool) -> Vectors:
        """Embed the items.

        Args:
            items: the items; read one part at a time.
            progress: show a progress bar.

        Returns:
            (n, D), in the order of the items; NaN for a failed item.
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
        return self._result(len(items))

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
                group.create_task(self._embed(rows)).add_done_callback(lambda _: self._slots.release())

    async def _embed(self, rows: list[Row]) -> None:
        """Embed the rows of a part. After a refusal of one row, the others are sent again: at most once per row."""
        while rows:
            try:
                answer = await self._transport.post("/embed", self._envelope.body(rows), _NPZ)
            except RowRefused as error:
                refused = self._refused(error, rows)
                self._record(Failure(refused.item, self._kind, error.code, error.message), refused)
                rows = [row for row in rows if row.item != refused.item]
                continue
            vectors = np.load(io.BytesIO(answer))[f"{self._kind}_features"]
            self._vectors |= {row.item: vector for row, vector in zip(rows, vectors, strict=True)}
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

    def _result(self, count: int) -> Vectors:
        if len(self._vectors) == count > 0:
            return np.stack([self._vectors[item] for item in range(count)])
        result = np.full((count, self._info["model"]["embedding_size"]), np.nan, self._dtype)
        for item, vector in self._vectors.items():
            result[item] = vector
        return result


def report(failures: Sequence[Failure], collected: list[Failure] | None, count: int) -> None:
    """Put the failures into the caller's list. Without a list, warn once."""
    if collected is not None:
        collected.extend(failures)
    elif failures:
        first = failures[0]
        warnings.warn(
            f"{len(failures)} of {count} {first.kind}s failed, and their rows are NaN; the first is {first.kind} "
            f"{first.item}: {first.message} (failures=[] collects them)",
            stacklevel=3,
        )
