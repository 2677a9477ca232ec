"""Connection to one server: its lifecycle, its limits, and the calls over it."""

import asyncio
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

from medimageinsight.errors import Failure, Kind, Refused
from medimageinsight.inputs import as_items
from medimageinsight.requests.item_call import ItemCall, OnError, Route, report
from medimageinsight.requests.transport import RowRefused, Transport

Result = TypeVar("Result")


class Connection:
    """What every asynchronous client of a server has. `AsyncClient` describes the arguments."""

    def __init__(
        self,
        url: str = "http://127.0.0.1:8000",
        *,
        api_key: str | None = None,
        concurrency: int = 4,
        attempts: int = 6,
        timeout_s: float = 300.0,
        progress: bool = True,
    ) -> None:
        self._transport = Transport(url, api_key=api_key, attempts=attempts, timeout_s=timeout_s)
        self._slots = asyncio.Semaphore(concurrency)
        self._progress = progress
        self._info: Mapping[str, Any] | None = None

    def __repr__(self) -> str:
        """The URL and, once it is known, the model."""
        model = f", model={self._info['model'].get('name')!r}" if self._info else ""
        return f"{type(self).__name__}({self._transport.url!r}{model})"

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._transport.aclose()

    async def info(self) -> Mapping[str, Any]:
        """Describe the model and the limits of the server.

        Returns:
            The answer of `GET /info`, requested once per client.

        Raises:
            ServerUnreachable: nothing answers, or something else than a MedImageInsight Server.
            Refused: the server refuses the request, for example without an API key.
        """
        if self._info is None:
            try:
                self._info = await self._transport.info()
            except RowRefused as error:
                raise Refused(error.status, error.code, error.message) from None
        return self._info

    async def _results(
        self,
        kind: Kind,
        items: Any,
        route: Route[Result],
        params: Mapping[str, Any],
        errors: OnError,
        failures: list[Failure] | None,
        consequence: str,
    ) -> list[Result | None]:
        """One result per item of a call, in their order.

        Args:
            kind: kind of all items.
            items: the argument of the caller.
            route: the route that gets the requests.
            params: parameters of the requests.
            errors: "raise" ends the call at the first failed item; "skip" makes its result None.
            failures: list of the caller for the failed items.
            consequence: what the caller gets for failed items, in words.
        """
        listed = as_items(items, kind)
        info = await self.info()
        call = ItemCall(kind, route, params, info=info, transport=self._transport, slots=self._slots, errors=errors)
        results = await call.run(listed, progress=self._progress)
        report(call.failures, failures, len(listed), consequence)
        return results
