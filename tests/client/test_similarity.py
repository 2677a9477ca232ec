"""Cosine similarities of images and texts."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from medimageinsight import AsyncClient, Client, Failure

from model.engine import EmbeddingEngine
from tests.support.samples import image_vector, png, text_vector
from tests.support.servers.embedding_server import EmbeddingServer, running
from tests.support.servers.serving import serving

TEXTS = ["ct chest", "x-ray hand", "mri breast"]
IMAGES = [png(1), png(2)]


@pytest.fixture(scope="module")
def client(small_release: Path) -> Iterator[Client]:
    with serving(small_release) as url, Client(url, progress=False) as client:
        yield client


def test_images_by_texts(client: Client, engine: EmbeddingEngine) -> None:
    found = client.similarity(images=IMAGES, to_texts=TEXTS)
    wanted = [[image_vector(engine, image) @ text_vector(engine, text) for text in TEXTS] for image in IMAGES]
    np.testing.assert_allclose(found, wanted, atol=1e-4)
    assert found.shape == (2, 3)
    assert found.dtype == np.float32


def test_texts_by_images_are_the_transpose(client: Client) -> None:
    by_images = client.similarity(texts=TEXTS, to_images=IMAGES)
    np.testing.assert_allclose(by_images.T, client.similarity(images=IMAGES, to_texts=TEXTS), atol=1e-5)


def test_one_side_is_compared_with_itself(client: Client) -> None:
    found = client.similarity(texts=TEXTS)
    np.testing.assert_allclose(np.diag(found), 1, atol=1e-5)
    np.testing.assert_allclose(found, client.similarity(texts=TEXTS, to_texts=TEXTS), atol=1e-5)


def test_preprocessing_parameters_are_those_of_images(client: Client) -> None:
    plain = {"image_standardization_jpeg_compression_ratio": 0}
    found = client.similarity(images=IMAGES, to_texts=TEXTS, **plain)  # type: ignore[arg-type]  # a dict of one type
    assert np.abs(found - client.similarity(images=IMAGES, to_texts=TEXTS)).max() > 1e-4


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({}, "the rows of a similarity need either images or texts"),
        ({"images": IMAGES, "texts": TEXTS}, "the rows of a similarity need either images or texts"),
        ({"texts": TEXTS, "to_images": IMAGES, "to_texts": TEXTS}, "only one of to_images and to_texts"),
        ({"texts": TEXTS, "axes": "axial"}, "'axes' is not a parameter"),
        ({"texts": "ct chest"}, "texts must be a list"),
    ],
    ids=["no rows", "two kinds of rows", "two kinds of columns", "a misspelt parameter", "one string"],
)
def test_wrong_arguments_are_type_errors(client: Client, given: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        client.similarity(**given)


async def test_a_failed_item_makes_its_row_or_column_nan() -> None:
    failures: list[Failure] = []
    with running(EmbeddingServer()) as server:
        async with AsyncClient(server.url, progress=False) as client:
            found = await client.similarity(
                texts=["a", "bad"], to_texts=["bad", "bb", "ccc"], errors="skip", failures=failures
            )
    assert np.isnan(found).tolist() == [[True, False, False], [True, True, True]]
    assert [failure.item for failure in failures] == [1, 0]
