"""The Python client against a real server, and against one that is busy."""

import asyncio
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
from medimageinsight import AsyncClient, Client, Refused
from PIL import Image

from model.engine import EmbeddingEngine
from tests.support.image_files.dicom import HOUNSFIELD, ct
from tests.support.samples import assert_close, image_vector, picture, png, saved, text_vector
from tests.support.servers.serving import serving

TEXTS = [f"chest x-ray {number}" for number in range(40)]


@pytest.fixture(scope="module")
def url(small_release: Path) -> Iterator[str]:
    with serving(small_release, max_rows=7, api_keys="key") as url:
        yield url


@pytest.fixture
def client(url: str) -> Iterator[Client]:
    with Client(url, api_key="key", progress=False, attempts=2) as client:
        yield client


def test_texts_in_parts_and_in_order(client: Client, engine: EmbeddingEngine) -> None:
    vectors = client.embed_texts(TEXTS)
    assert vectors.shape == (40, engine.embedding_size)
    for number in (0, 6, 7, 39):
        assert_close(vectors[number], text_vector(engine, TEXTS[number]))


def test_images_of_every_kind(client: Client, engine: EmbeddingEngine, tmp_path: Path) -> None:
    path = tmp_path / "scan.dcm"
    path.write_bytes(ct(HOUNSFIELD))
    deep = np.arange(600, dtype=np.uint16).reshape(20, 30)
    images: list[Any] = [path, str(path), png(1), picture(2), np.asarray(picture(3)), deep, deep.astype(float)]
    vectors = client.embed_images(images)
    deep_vector = image_vector(engine, saved(Image.fromarray(deep)))
    wanted = [*[image_vector(engine, path.read_bytes())] * 2, *(image_vector(engine, png(n)) for n in (1, 2, 3))]
    for vector, right in zip(vectors, [*wanted, deep_vector, deep_vector], strict=True):
        assert_close(vector, right)


def test_parameters_are_the_services(client: Client) -> None:
    vectors = client.embed_texts(["a"], normalize=False)
    assert abs(np.linalg.norm(vectors) - 1) > 0.01


def test_an_empty_collection_gives_an_empty_result(client: Client, engine: EmbeddingEngine) -> None:
    assert client.embed_texts([]).shape == (0, engine.embedding_size)


def test_a_refusal_names_the_item(client: Client) -> None:
    with pytest.raises(Refused, match=r"^image 9: the image cannot be read") as error:
        client.embed_images([png()] * 9 + [b"no image"])
    assert (error.value.status, error.value.code, error.value.item) == (400, "undecodable_image", 9)
    assert error.value.kind == "image"


def test_a_wrong_key_is_refused_at_once(url: str) -> None:
    with Client(url, api_key="other") as client, pytest.raises(Refused, match="not one of those"):
        client.embed_texts(["a"])


@pytest.mark.parametrize("array", [np.zeros((2, 2, 4), np.uint8), np.zeros((2, 2), bool), np.zeros(3, np.uint8)])
def test_an_array_that_is_not_an_image(array: Any, client: Client) -> None:
    with pytest.raises(ValueError, match="is not an image; an image is"):
        client.embed_images([array])


async def test_the_asynchronous_client(url: str, engine: EmbeddingEngine) -> None:
    async with AsyncClient(url, api_key="key", progress=False) as client:
        both = await asyncio.gather(client.embed_texts(TEXTS[:3]), client.embed_images([png()]))
    assert_close(both[0][2], text_vector(engine, TEXTS[2]))
    assert_close(both[1][0], image_vector(engine, png()))


class Busy(BaseHTTPRequestHandler):
    """Refuses the first two of three requests."""

    answers: ClassVar[list[tuple[int, dict[str, str], bytes]]] = []
    seen = 0

    def do_GET(self) -> None:
        info = {"limits": {"max_body_bytes": 10_000, "max_rows": 4}, "model": {"embedding_size": 2}}
        self.answer(200, {}, json.dumps(info).encode())

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        type(self).seen += 1
        self.answer(*self.answers[min(self.seen, len(self.answers)) - 1])

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def busy() -> Iterator[str]:
    stream = BytesIO()
    np.savez(stream, text_features=np.ones((1, 2), np.float32))
    full = json.dumps({"message": "The queue is full.", "code": "queue_full"}).encode()
    Busy.answers = [
        (429, {"retry-after": "0"}, full),
        (503, {"retry-after": "0"}, b"no json"),
        (200, {}, stream.getvalue()),
    ]
    Busy.seen = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_a_busy_server_is_asked_again(busy: str) -> None:
    with Client(busy, progress=False) as client:
        assert client.embed_texts(["a"]).tolist() == [[1, 1]]
    assert Busy.seen == 3


def test_patience_ends(busy: str) -> None:
    with Client(busy, progress=False, attempts=1) as client, pytest.raises(Refused, match="The queue is full"):
        client.embed_texts(["a"])
