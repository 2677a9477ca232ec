"""Stand-in server for the client's tests: it records bodies, and refuses rows and requests as a test asks.

Its classes are those of the route that it has.
"""

import asyncio
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from typing import Any, ClassVar

import numpy as np
import uvicorn


class EmbeddingServer:
    """Answers `/info` and `/embed`. The vector of a row is (length of its value, 1).

    Args:
        max_body_bytes: limit that `/info` names.
        max_rows: limit that `/info` names.
        delay_s: seconds before each answer to `/embed`.
        keep_alive: False closes the connection after each answer.
    """

    route: ClassVar[str] = "/embed"

    def __init__(
        self, *, max_body_bytes: int = 10_000, max_rows: int = 4, delay_s: float = 0.0, keep_alive: bool = True
    ) -> None:
        self.max_body_bytes, self.max_rows, self.delay_s = max_body_bytes, max_rows, delay_s
        self.keep_alive = keep_alive
        self.bodies: list[bytes] = []
        self.params: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        """Statuses of the next answers; 200 once the list is empty."""
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()
        self.url = ""
        self.connections: set[Any] = set()
        """The connections that are open now."""

    def info(self) -> dict[str, Any]:
        limits = {"max_body_bytes": self.max_body_bytes, "max_rows": self.max_rows}
        return {"limits": limits, "model": {"name": "stand-in", "embedding_size": 2}}

    def results(self, column: str, values: list[str], params: dict[str, Any]) -> bytes:
        """The body of an answer with status 200."""
        stream = BytesIO()
        vectors: Any = np.array([[len(value), 1] for value in values], dtype=np.float32)
        np.savez(stream, **{f"{column}_features": vectors})
        return stream.getvalue()

    def answer(self, body: bytes) -> tuple[int, bytes]:
        """Status and body of an answer; a row whose value begins with "bad" is refused."""
        with self.lock:
            self.bodies.append(body)
            self.in_flight += 1
            self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            time.sleep(self.delay_s)
            document = json.loads(body)
            self.params.append(document["params"])
            with self.lock:
                status = self.statuses.pop(0) if self.statuses else 200
            if status != 200:
                return status, json.dumps({"message": "No.", "code": "no"}).encode()
            table = document["input_data"]
            (column,) = table["columns"]
            for number, (value,) in enumerate(table["data"]):
                if value.startswith("bad"):
                    message = f"Row {number}, column {column}: the {column} is bad."
                    refusal = {"message": message, "code": "bad", "row": number, "column": column}
                    return 400, json.dumps(refusal).encode()
            return 200, self.results(column, [value for (value,) in table["data"]], document["params"])
        finally:
            with self.lock:
                self.in_flight -= 1


class ClassifyingServer(EmbeddingServer):
    """Answers `/info` and `/classify`. The head "age" predicts a number, every other head has one label."""

    route: ClassVar[str] = "/classify"

    def results(self, column: str, values: list[str], params: dict[str, Any]) -> bytes:
        heads = params.get("head", "labels")

        def predictions(head: str, value: str) -> list[dict[str, Any]]:
            if head == "age":
                return [{"label": "age_months", "value": len(value)}]
            labels = params.get("labels", [head])
            return [{"label": label, "score": 1 / len(labels), "call": "positive"} for label in labels]

        rows = [
            predictions(heads, value) if isinstance(heads, str) else {head: predictions(head, value) for head in heads}
            for value in values
        ]
        return json.dumps(rows).encode()


@contextmanager
def running(server: EmbeddingServer) -> Iterator[EmbeddingServer]:
    """Serve with uvicorn on a free port of loopback for the duration of the `with` block."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        chunks = [message := await receive()]
        while message.get("more_body"):
            chunks.append(message := await receive())
        if message["type"] == "http.disconnect":
            return
        status, body = 404, json.dumps({"message": "The service has no such route.", "code": "not_found"}).encode()
        if scope["path"] == "/info":
            status, body = 200, json.dumps(server.info()).encode()
        elif scope["method"] == "POST" and scope["path"] == server.route:
            status, body = await asyncio.to_thread(server.answer, b"".join(chunk.get("body", b"") for chunk in chunks))
        headers = [(b"content-length", str(len(body)).encode()), (b"retry-after", b"0")]
        if not server.keep_alive:
            headers.append((b"connection", b"close"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    with socket.create_server(("127.0.0.1", 0)) as listener:
        http = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None, timeout_graceful_shutdown=1))
        thread = threading.Thread(target=http.run, args=([listener],))
        thread.start()
        server.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.connections = http.server_state.connections
        try:
            yield server
        finally:
            http.should_exit = True
            thread.join()
