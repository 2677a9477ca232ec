"""Requests with retries, and the mapping of answers and connection errors to the errors of the client."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Coroutine, Mapping
from typing import Any, get_args

import httpx2
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential

from medimageinsight.errors import Kind, ServerUnreachable
from medimageinsight.requests.hints import hint_of_answer, hint_of_error, hint_of_url, with_scheme, without_secrets

MAX_WAIT_S = 60.0
RETRIED_STATUSES = (429, 502, 503)
_BACKOFF = wait_random_exponential(multiplier=0.5, max=MAX_WAIT_S)
_COLUMNS = get_args(Kind)
_PLACE = re.compile(r"^Row \d+, column \w+: ")  # row of the request, which the caller does not see


class RowRefused(Exception):
    """A refusal as the server expressed it: with the number of the row in the request, if it names one."""

    def __init__(self, status: int, code: str, message: str, row: int | None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.row = status, code, message, row


class _Retry(Exception):
    """A failed attempt after which another attempt makes sense."""

    def __init__(self, cause: Exception, retry_after_s: float | None = None) -> None:
        super().__init__(str(cause))
        self.cause, self.retry_after_s = cause, retry_after_s


class Transport:
    """Sends requests to one server.

    An attempt is repeated only if the server did not work on the request, or lost it: after 429 (the queue is full),
    502 (a proxy lost the server), 503 (loading or stopping) and a failed connection. 500 is a fault that the same
    request meets again. After 504 and a read timeout, another attempt adds load to a server that is already too slow.

    Args:
        url: base URL of the server; without a scheme, it gets http://.
        api_key: API key, sent as a bearer token; None sends none.
        attempts: attempts per request.
        timeout_s: limit for each connect, write and read.

    Raises:
        ServerUnreachable: the URL has another scheme than http and https, or no host.
    """

    def __init__(self, url: str, *, api_key: str | None, attempts: int, timeout_s: float) -> None:
        url = with_scheme(url)
        self.url = without_secrets(url)
        """The URL for messages, without user name, password and query."""
        if hint := hint_of_url(url):
            raise _unreachable(self.url, hint)
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._has_key = bool(api_key)
        self._http = httpx2.AsyncClient(
            base_url=url, headers=headers, timeout=timeout_s, event_hooks={"response": [_make_closing_safe]}
        )
        self._attempts = attempts

    async def aclose(self) -> None:
        """Close the connections: all of them, even if the caller is cancelled meanwhile."""
        await _to_its_end(self._http.aclose())

    async def info(self) -> Mapping[str, Any]:
        """The JSON of `GET /info`.

        Raises:
            ServerUnreachable: nothing answers, or something else than a MedImageInsight Server.
            RowRefused: the server refuses the request.
        """
        try:
            answer = await self._send("GET", "/info")
            info = json.loads(answer)
        except ValueError:
            info = None
        if not isinstance(info, dict) or "limits" not in info:
            raise _unreachable(self.url, "the answer to GET /info is not that of a MedImageInsight Server")
        return info

    async def post(self, path: str, body: bytes, accept: str) -> bytes:
        """The answer to a JSON body.

        Raises:
            ServerUnreachable: nothing answers, after all attempts.
            RowRefused: the server refuses the request.
        """
        return await self._send("POST", path, body, {"content-type": "application/json", "accept": accept})

    async def _send(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> bytes:
        """The body of the first answer that is 200."""
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(_Retry), wait=_wait_s, stop=stop_after_attempt(self._attempts), reraise=True
        )
        try:
            async for attempt in attempts:
                with attempt:
                    return await self._attempt(method, path, body, headers)
        except _Retry as retry:
            raise retry.cause from None
        raise AssertionError("tenacity neither returned nor raised")

    async def _attempt(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str] | None) -> bytes:
        try:
            answer = await self._http.request(method, path, content=body, headers=headers)
        except (httpx2.ReadTimeout, httpx2.UnsupportedProtocol, httpx2.LocalProtocolError) as error:
            raise _unreachable(self.url, hint_of_error(error, self._http.base_url)) from None
        except httpx2.TransportError as error:
            raise _Retry(_unreachable(self.url, hint_of_error(error, self._http.base_url))) from None
        if answer.status_code == httpx2.codes.OK:
            return answer.content
        if hint := hint_of_answer(answer, self._http.base_url):
            raise _unreachable(self.url, hint)
        refusal = _refusal(answer, has_key=self._has_key)
        if answer.status_code in RETRIED_STATUSES:
            after = answer.headers.get("retry-after", "")
            raise _Retry(refusal, float(after) if after.isdecimal() else None)
        raise refusal


class _SafelyClosedStream(httpx2.AsyncByteStream):
    """The body of an answer. httpcore keeps a request, with its body, whose closing is cancelled halfway."""

    def __init__(self, stream: httpx2.AsyncByteStream) -> None:
        self._stream = stream

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._stream.__aiter__()

    async def aclose(self) -> None:
        await _to_its_end(self._stream.aclose())


async def _make_closing_safe(answer: httpx2.Response) -> None:
    if isinstance(answer.stream, httpx2.AsyncByteStream):
        answer.stream = _SafelyClosedStream(answer.stream)


async def _to_its_end(closing: Coroutine[Any, Any, None]) -> None:
    """Await a coroutine. It goes on if the caller is cancelled, and the cancellation waits for its end."""
    task = asyncio.create_task(closing)
    try:
        await asyncio.shield(task)
    finally:
        await asyncio.wait({task})


def _unreachable(url: str, hint: str) -> ServerUnreachable:
    return ServerUnreachable(f"no MedImageInsight Server answers at {url}: {hint}")


def _wait_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _Retry) and error.retry_after_s is not None:
        return min(error.retry_after_s, MAX_WAIT_S)
    return _BACKOFF(state)


def _refusal(answer: httpx2.Response, *, has_key: bool) -> RowRefused:
    status = answer.status_code
    try:
        body = answer.json()
        code, message = str(body["code"]), _PLACE.sub("", str(body["message"]))
        row = body.get("row") if body.get("column") in _COLUMNS else None  # otherwise it counts labels
    except (ValueError, KeyError, AttributeError, TypeError):
        code, message, row = "unknown", f"the server answered {status} without an explanation", None
    if status == httpx2.codes.NOT_FOUND and code in ("not_found", "unknown"):
        path = answer.request.url.path
        message = f"the server has no {path}: update it, because it is older than this client, or check its proxy"
    if status in (httpx2.codes.UNAUTHORIZED, httpx2.codes.FORBIDDEN):
        advice = "check the api_key of this client" if has_key else "give this client an api_key"
        if answer.request.url.userinfo:
            advice = "the user name and password of the URL are sent instead of the api_key; leave them out of the URL"
        message = f"{message} ({advice})"
    return RowRefused(status, code, message, row)
