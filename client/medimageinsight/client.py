"""Images and texts to numpy arrays over HTTP: in parts that the server takes, several at once, again if it is busy."""

import asyncio
import base64
import io
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from os import PathLike
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx2
import numpy as np
from anyio.from_thread import BlockingPortal, start_blocking_portal
from numpy.typing import NDArray
from PIL import Image
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, wait_random_exponential
from tqdm import tqdm

Vectors = NDArray[np.float32]
ImageLike = str | PathLike[str] | bytes | Image.Image | NDArray[Any]
Result = TypeVar("Result")

NPZ = "application/x-npz"
MOST_IMAGES, MOST_TEXTS = 16, 256  # in one request: enough for the server's batches, little to send again
BODY_SHARE = 0.9  # of the server's limit on a body; the rest is for what stands around the rows
LONGEST_WAIT_S = 60.0
_BACKOFF = wait_random_exponential(multiplier=0.5, max=LONGEST_WAIT_S)
_DTYPES_OF_PNG = (np.uint8, np.uint16)


class Refused(Exception):
    """The server refused a request; the message is its own sentence, with the number of the item that caused it."""

    def __init__(self, status: int, code: str, message: str, item: int | None = None) -> None:
        super().__init__(message if item is None else f"item {item}: {message}")
        self.status, self.code, self.item = status, code, item


class _Busy(Exception):
    """An answer after which another attempt makes sense."""

    def __init__(self, refusal: Exception, retry_after_s: float | None) -> None:
        super().__init__(str(refusal))
        self.refusal, self.retry_after_s = refusal, retry_after_s


class AsyncClient:
    """A client for asyncio: `async with AsyncClient(url) as client: await client.embed_texts([...])`."""

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
        """Make a client; nothing is sent yet.

        Args:
            url: of the server.
            api_key: sent as a bearer token.
            concurrency: requests at once.
            attempts: of a request that meets 429, 5xx or no server; it waits as `Retry-After` says, else longer and
                longer.
            timeout_s: for one answer.
            progress: show a bar.
        """
        headers = {"authorization": f"Bearer {api_key}"} if api_key else {}
        self._http = httpx2.AsyncClient(base_url=url, headers=headers, timeout=timeout_s)
        self._places = asyncio.Semaphore(concurrency)
        self._attempts, self._progress = attempts, progress
        self._info: Mapping[str, Any] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.aclose()

    async def info(self) -> Mapping[str, Any]:
        """What is served, and the limits: `GET /info`, asked once."""
        if self._info is None:
            self._info = json.loads(await self._again(lambda: self._http.get("/info")))
        return self._info

    async def embed_images(self, images: Iterable[ImageLike], **params: Any) -> Vectors:
        """Embed images, each as the service reads it.

        Args:
            images: paths, files' bytes (DICOM too), PIL images, or arrays (H, W) or (H, W, 3): uint8, uint16, or
                floating point in grey.
            params: of the service, such as `dicom_window="lung"` or `normalize=False`.

        Returns:
            (n, D) float32, in the order given.

        Raises:
            Refused: with the number of the image.
            httpx2.HTTPError: no server, after all attempts.
            OSError: a path that cannot be read.
            ValueError: an array that is no image.
        """
        return await self._embed("image", list(images), _encoded, MOST_IMAGES, params)

    async def embed_texts(self, texts: Iterable[str], **params: Any) -> Vectors:
        """Embed texts: (n, D) float32, in the order given; raises as `embed_images`."""
        return await self._embed("text", list(texts), str, MOST_TEXTS, params)

    async def _embed(
        self, column: str, items: Sequence[Any], write: Callable[[Any], str], most: int, params: Mapping[str, Any]
    ) -> Vectors:
        info = await self.info()
        most_bytes = int(BODY_SHARE * info["limits"]["max_body_bytes"])
        size = min(most, info["limits"]["max_rows"])
        with tqdm(total=len(items), desc=f"{column}s", unit=column, disable=not self._progress) as bar:

            async def part(first: int, rows: list[str]) -> Vectors:
                table = {"columns": [column], "data": [[row] for row in rows]}
                body = json.dumps({"input_data": table, "params": params}).encode()
                headers = {"content-type": "application/json", "accept": NPZ}
                try:
                    answer = await self._again(lambda: self._http.post("/embed", content=body, headers=headers), first)
                finally:
                    self._places.release()
                bar.update(len(rows))
                vectors: Vectors = np.load(io.BytesIO(answer))[f"{column}_features"]
                return vectors

            running: list[asyncio.Task[Vectors]] = []
            try:
                # A part is read and encoded when a place is free, and no sooner: that is what bounds the memory.
                await self._places.acquire()
                for first, rows in _parts(items, write, size, most_bytes):
                    running.append(asyncio.create_task(part(first, rows)))
                    await self._places.acquire()
                    if failed := next((task for task in running if task.done() and task.exception()), None):
                        failed.result()
                vectors = await asyncio.gather(*running)
            finally:
                self._places.release()
                for task in running:
                    task.cancel()
                await asyncio.gather(*running, return_exceptions=True)
        return np.concatenate(vectors) if vectors else np.empty((0, info["model"]["embedding_size"]), np.float32)

    async def _again(self, send: Callable[[], Awaitable[httpx2.Response]], first: int = 0) -> bytes:
        """The body of the first answer that is 200."""
        attempts = AsyncRetrying(
            retry=retry_if_exception_type(_Busy), wait=_wait_s, stop=stop_after_attempt(self._attempts), reraise=True
        )
        try:
            async for attempt in attempts:
                with attempt:
                    return await _answer(send, first)
        except _Busy as busy:
            raise busy.refusal from None
        raise AssertionError("tenacity neither returned nor raised")


class Client:
    """The same for code that is not asynchronous, also in a notebook; it runs an `AsyncClient` in a thread."""

    def __init__(self, url: str = "http://127.0.0.1:8000", **options: Any) -> None:
        """Make a client; for the options see `AsyncClient`."""
        self._portal_manager: AbstractContextManager[BlockingPortal] = start_blocking_portal()
        self._portal = self._portal_manager.__enter__()
        self._client = self._portal.call(lambda: AsyncClient(url, **options))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._run(lambda: self._client.__aexit__(None, None, None))
        self._portal_manager.__exit__(None, None, None)

    def info(self) -> Mapping[str, Any]:
        """See `AsyncClient.info`."""
        return self._run(self._client.info)

    def embed_images(self, images: Iterable[ImageLike], **params: Any) -> Vectors:
        """See `AsyncClient.embed_images`."""
        return self._run(lambda: self._client.embed_images(images, **params))

    def embed_texts(self, texts: Iterable[str], **params: Any) -> Vectors:
        """See `AsyncClient.embed_texts`."""
        return self._run(lambda: self._client.embed_texts(texts, **params))

    def _run(self, function: Callable[[], Awaitable[Result]]) -> Result:
        return self._portal.call(function)


def _wait_s(state: RetryCallState) -> float:
    error = state.outcome.exception() if state.outcome else None
    if isinstance(error, _Busy) and error.retry_after_s is not None:
        return min(error.retry_after_s, LONGEST_WAIT_S)
    return _BACKOFF(state)


async def _answer(send: Callable[[], Awaitable[httpx2.Response]], first: int) -> bytes:
    try:
        answer = await send()
    except httpx2.TransportError as error:
        raise _Busy(error, None) from error
    if answer.status_code == httpx2.codes.OK:
        return answer.content
    refusal = _refusal(answer, first)
    if answer.status_code == httpx2.codes.TOO_MANY_REQUESTS or answer.status_code >= httpx2.codes.INTERNAL_SERVER_ERROR:
        after = answer.headers.get("retry-after", "")
        raise _Busy(refusal, float(after) if after.isdecimal() else None)
    raise refusal


def _refusal(answer: httpx2.Response, first: int) -> Refused:
    try:
        body = answer.json()
        row = body.get("row")
        item = None if row is None else first + row
        return Refused(answer.status_code, str(body["code"]), str(body["message"]), item)
    except (ValueError, KeyError, AttributeError):
        return Refused(answer.status_code, "unknown", f"the server answered {answer.status_code}")


def _parts(
    items: Sequence[Any], write: Callable[[Any], str], most: int, most_bytes: int
) -> Iterator[tuple[int, list[str]]]:
    """The items as the rows of requests, each with the number of its first: at most so many, and so many bytes."""
    rows: list[str] = []
    first = size = 0
    for number, item in enumerate(items):
        row = write(item)
        if rows and (len(rows) == most or size + len(row) > most_bytes):
            yield first, rows
            rows, first, size = [], number, 0
        rows.append(row)
        size += len(row)
    if rows:
        yield first, rows


def _encoded(image: ImageLike) -> str:
    return base64.b64encode(_file(image)).decode()


def _file(image: ImageLike) -> bytes:
    """An image as the bytes of a file."""
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | PathLike):
        return Path(image).read_bytes()
    if isinstance(image, np.ndarray):
        is_grey = image.ndim == 2
        if image.dtype.kind == "f" and is_grey:
            image = image.astype(np.float32)
        elif image.dtype.type not in _DTYPES_OF_PNG or not (is_grey or (image.ndim == 3 and image.shape[2] == 3)):
            raise ValueError(
                f"an array of shape {image.shape} and {image.dtype} is no image; needed is (H, W) of uint8, uint16 or "
                "floating point, or (H, W, 3) of uint8"
            )
        image = Image.fromarray(image)
    stream = io.BytesIO()
    image.save(stream, "TIFF" if image.mode == "F" else "PNG")
    return stream.getvalue()
