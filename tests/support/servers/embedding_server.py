"""Stand-in server for the client's tests: it records bodies, and refuses rows and requests as a test asks."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from typing import Any

import numpy as np


class EmbeddingServer:
    """Answers `/info` and `/embed`. The vector of a row is (length of its value, 1).

    Args:
        max_body_bytes: limit that `/info` names.
        max_rows: limit that `/info` names.
        delay_s: seconds before each answer to `/embed`.
    """

    def __init__(self, *, max_body_bytes: int = 10_000, max_rows: int = 4, delay_s: float = 0.0) -> None:
        self.max_body_bytes, self.max_rows, self.delay_s = max_body_bytes, max_rows, delay_s
        self.bodies: list[bytes] = []
        self.params: list[dict[str, Any]] = []
        self.statuses: list[int] = []
        """Statuses of the next answers; 200 once the list is empty."""
        self.in_flight = self.most_in_flight = 0
        self.lock = threading.Lock()
        self.url = ""

    def info(self) -> dict[str, Any]:
        limits = {"max_body_bytes": self.max_body_bytes, "max_rows": self.max_rows}
        return {"limits": limits, "model": {"name": "stand-in", "embedding_size": 2}}

    def embed(self, body: bytes) -> tuple[int, bytes]:
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
            stream = BytesIO()
            vectors: Any = np.array([[len(value), 1] for (value,) in table["data"]], dtype=np.float32)
            np.savez(stream, **{f"{column}_features": vectors})
            return 200, stream.getvalue()
        finally:
            with self.lock:
                self.in_flight -= 1


@contextmanager
def running(server: EmbeddingServer) -> Iterator[EmbeddingServer]:
    """Serve on a free port of loopback for the duration of the `with` block."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = self.path == "/info"
            self._answer(200 if found else 404, json.dumps(server.info()).encode() if found else b"{}")

        def do_POST(self) -> None:
            self._answer(*server.embed(self.rfile.read(int(self.headers["content-length"]))))

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        server.url = f"http://127.0.0.1:{http.server_port}"
        yield server
        http.shutdown()
        thread.join()
