"""Clients of the soak: honest ones whose answers are checked, hostile ones, and those that leave."""

import asyncio
import base64
import json
import random
import socket
import struct
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np

from tests.benchmarks.support import inputs
from tests.benchmarks.support.soak_bodies import Corpus, Request
from tests.support.samples import table

KEY = "soak"
AUTHORIZATION = {"authorization": f"Bearer {KEY}"}
BUSY = (429, 503)  # documented for every request, with Retry-After
TOLERANCE = 2e-5  # two answers differ from the same item computed alone by at most half as much each
ANSWER_WITHIN_S = 300.0
KINDS = {"image": 26, "text": 26, "table": 8, "slow": 6, "wrong": 6, "hostile": 12, "refused": 6, "leaves": 10}
HONEST = ("image", "text", "table", "slow")
MOMENTS = ("header", "body", "wait", "answer")


@dataclass(frozen=True)
class Outcome:
    """What came of one request.

    Args:
        kind: one of `KINDS`; for a client that left, with the moment.
        answer: status, "left", or the name of the connection error.
        at_s: time of `time.perf_counter` at the end.
        latency_s: seconds from the first byte sent to the last one read.
        fault: what is wrong; empty if nothing is.
    """

    kind: str
    answer: str
    at_s: float
    latency_s: float
    fault: str = ""


@dataclass
class FirstAnswers:
    """The vectors of the first answer to each item, and the comparison of later ones with them."""

    _first: dict[str, np.ndarray] = field(default_factory=dict)

    def fault(self, items: list[str], vectors: list[Any]) -> str:
        """Compare the vectors with those of the same items in earlier answers; empty if they agree."""
        if len(vectors) != len(items):
            return f"{len(vectors)} vectors for {len(items)} items"
        for item, values in zip(items, vectors, strict=True):
            vector = np.array(values)
            difference = np.abs(vector - self._first.setdefault(item, vector)).max()
            if not difference <= TOLERANCE:
                return f"a vector differs by {difference:.1e} from the first answer"
        return ""


class Traffic:
    """One client that sends random requests; equal seeds give equal sequences.

    Args:
        url: of the server.
        seed: of the sequence.
        corpus: refused and hostile requests.
        first: shared by all clients.
    """

    def __init__(self, url: str, seed: int, corpus: Corpus, first: FirstAnswers) -> None:
        self._chance, self._corpus, self._first = random.Random(seed), corpus, first
        self._images, self._labels = inputs.images(40), inputs.labels(400)
        self._address = (httpx.URL(url).host, httpx.URL(url).port or 80)
        self._http = httpx.AsyncClient(base_url=url, timeout=ANSWER_WITHIN_S)

    async def run(self, until: float, pause_s: float, outcomes: list[Outcome]) -> None:
        """Send one request after the other until a time of `time.perf_counter`."""
        async with self._http:
            while time.perf_counter() < until:
                kind = self._chance.choices(list(KINDS), list(KINDS.values()))[0]
                outcomes.append(await self._leave() if kind == "leaves" else await self._send(kind))
                await asyncio.sleep(pause_s)

    async def _send(self, kind: str) -> Outcome:
        request, items = self._request(kind)
        headers = request.headers | (AUTHORIZATION if request.keyed else {})
        body = _in_pieces(request.body) if kind == "slow" else request.body
        begin = time.perf_counter()
        try:
            answer = await self._http.post(request.path, content=body, headers=headers)
        except httpx.HTTPError as error:
            name = type(error).__name__
            return Outcome(kind, name, time.perf_counter(), time.perf_counter() - begin, "no answer")
        ended = time.perf_counter()
        fault = self._fault(answer, request, items)
        return Outcome(kind, str(answer.status_code), ended, ended - begin, fault)

    def _fault(self, answer: httpx.Response, request: Request, items: list[str]) -> str:
        if answer.status_code in BUSY:
            return "" if answer.headers.get("retry-after") else "no Retry-After"
        if answer.status_code not in request.expected:
            return f"status {answer.status_code} instead of {' or '.join(map(str, request.expected))}"
        if not items:
            return ""
        rows = answer.json()
        names = ("image_features", "text_features")
        return self._first.fault(items, [row[name][0] for row in rows for name in names if row.get(name)])

    def _request(self, kind: str) -> tuple[Request, list[str]]:
        """A request, and the names of the items whose vectors its answer holds."""
        if kind == "hostile":
            return self._corpus.hostile(self._chance), []
        if kind == "refused":
            return self._corpus.refused(self._chance), []
        if kind == "wrong":
            return self._wrong(), []
        number, text = self._chance.randrange(len(self._images)), self._chance.choice(self._labels)
        image, headers = self._images[number], {"content-type": "application/json"}
        if kind == "text":
            return Request("/embed/text", json.dumps({"texts": [text]}).encode(), headers, expected=(200,)), [text]
        if kind == "table":
            body = table(["image", "text"], [[base64.b64encode(image).decode(), text], ["", text]])
            items = [f"image {number}", text, text]
            return Request("/embed", json.dumps(body).encode(), headers, expected=(200,)), items
        binary = {"content-type": "application/octet-stream"}
        return Request("/embed/image", image, binary, expected=(200,)), [f"image {number}"]

    def _wrong(self) -> Request:
        path, body, status = self._chance.choice([
            ("/embed", b"{", 400),
            ("/embed", json.dumps(table(["picture"], [["x"]])).encode(), 400),
            ("/embed/text", b'{"texts": []}', 400),
            ("/nothing", b"{}", 404),
        ])  # fmt: skip
        return Request(path, body, {"content-type": "application/json"}, expected=(status,))

    async def _leave(self) -> Outcome:
        """Send a request, and leave at a random moment: by closing or by resetting the connection."""
        moment = self._chance.choice(MOMENTS)
        request, _ = self._request(self._chance.choice([*HONEST, "hostile", "refused"]))
        head, body = self._head(request), request.body
        begin = time.perf_counter()
        try:
            reader, writer = await asyncio.open_connection(*self._address)
            if self._chance.random() < 0.5:
                reset = struct.pack("ii", 1, 0)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, reset)
            if moment == "header":
                head, body = head[: self._chance.randrange(len(head))], b""
            elif moment == "body":
                body = body[: self._chance.randrange(len(body) or 1)]
            writer.write(head + body)
            await self._stay(moment, reader, writer)
            writer.transport.abort() if moment == "answer" else writer.close()
            await writer.wait_closed()
        except (OSError, TimeoutError):  # the server refused it earlier
            pass
        return Outcome(f"leaves: {moment}", "left", time.perf_counter(), time.perf_counter() - begin)

    async def _stay(self, moment: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if moment == "answer":
            async with asyncio.timeout(10):
                await reader.read(self._chance.randrange(1, 2000))
        elif moment == "wait":
            async with asyncio.timeout(10):
                await writer.drain()
            await asyncio.sleep(self._chance.choice([0.0, 0.01, 0.1, 1.0]) * self._chance.random())
        else:
            await asyncio.sleep(self._chance.choice([0.0, 0.05]) * self._chance.random())

    def _head(self, request: Request) -> bytes:
        headers = request.headers | AUTHORIZATION | {"host": "soak", "content-length": str(len(request.body))}
        lines = [f"POST {request.path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
        return "\r\n".join(lines).encode()


async def _in_pieces(data: bytes) -> AsyncIterator[bytes]:
    size = -(-len(data) // 10)
    for start in range(0, len(data), size):
        yield data[start : start + size]
        await asyncio.sleep(0.05)
