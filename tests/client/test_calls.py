"""Calls of many items: parts, retries, failed items, concurrency."""

import asyncio
from pathlib import Path

import numpy as np
import pytest
from medimageinsight import AsyncClient, Client, Failure, Refused

from tests.support.samples import png
from tests.support.servers.embedding_server import EmbeddingServer, running


@pytest.mark.parametrize("texts", [["é" * 300] * 9, ['"' * 300] * 9, ["a" * 300] * 9, ["汉" * 120] * 9])
def test_no_body_is_larger_than_the_server_accepts(texts: list[str]) -> None:
    """JSON escapes make a text up to six times as long on the wire as it has characters."""
    with running(EmbeddingServer(max_body_bytes=2500, max_rows=100)) as server:
        with Client(server.url, progress=False) as client:
            assert len(client.embed_texts(texts)) == 9
        assert max(map(len, server.bodies)) <= 2500
        assert len(server.bodies) > 1


def test_a_text_that_fits_no_body_is_refused_without_being_sent() -> None:
    with running(EmbeddingServer(max_body_bytes=1000)) as server, Client(server.url, progress=False) as client:
        with pytest.raises(Refused, match="text 1: it needs") as refused:
            client.embed_texts(["a", "b" * 1000])
        assert (refused.value.code, refused.value.item, refused.value.kind) == ("body_too_large", 1, "text")


def test_skip_leaves_failed_items_out_and_keeps_the_order() -> None:
    failures: list[Failure] = []
    with running(EmbeddingServer()) as server, Client(server.url, progress=False) as client:
        vectors = client.embed_texts(["a", "bad", "ccc", "bad!", "eeeee"], errors="skip", failures=failures)
    assert np.isnan(vectors[[1, 3]]).all()
    assert vectors[[0, 2, 4], 0].tolist() == [1, 3, 5]
    assert [(failure.item, failure.kind, failure.code) for failure in failures] == [
        (1, "text", "bad"),
        (3, "text", "bad"),
    ]
    assert failures[0].message == "the text is bad."


def test_skip_warns_once_without_a_list() -> None:
    with running(EmbeddingServer()) as server, Client(server.url, progress=False) as client:
        with pytest.warns(UserWarning, match="2 of 3 texts failed") as warned:
            vectors = client.embed_texts(["bad", "b", "bad"], errors="skip")
        assert len(warned) == 1
    assert np.isnan(vectors[:, 0]).tolist() == [True, False, True]


def test_without_skip_the_first_failed_item_ends_the_call() -> None:
    with running(EmbeddingServer()) as server, Client(server.url, progress=False) as client:
        with pytest.raises(Refused, match="text 2: the text is bad") as refused:
            client.embed_texts(["a", "b", "bad"])
        assert (refused.value.status, refused.value.item) == (400, 2)


def test_an_unreadable_path_is_a_failed_image(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(png())
    paths = [tmp_path / "a.png", tmp_path / "nothing.png"]
    failures: list[Failure] = []
    with running(EmbeddingServer(max_body_bytes=100_000)) as server, Client(server.url, progress=False) as client:
        vectors = client.embed_images(paths, errors="skip", failures=failures)
        assert (failures[0].item, failures[0].code) == (1, "unreadable_file")
        assert np.isnan(vectors[1]).all()
        with pytest.raises(FileNotFoundError):
            client.embed_images(paths)


def test_unreadable_paths_do_not_slow_down_later_calls(tmp_path: Path) -> None:
    with running(EmbeddingServer(max_rows=1, delay_s=0.05)) as server, Client(server.url, progress=False) as client:
        for _ in range(8):
            with pytest.raises(FileNotFoundError):
                client.embed_images([tmp_path / "nothing.png"])
        client.embed_texts(["a"] * 12)
        assert server.most_in_flight == 4


async def test_cancelled_calls_do_not_raise_the_number_of_requests_at_once() -> None:
    with running(EmbeddingServer(max_rows=1, delay_s=0.05)) as server:
        async with AsyncClient(server.url, concurrency=2, progress=False) as client:
            await client.info()
            for wait_s in (0.0, 0.01, 0.02, 0.06):
                call = asyncio.create_task(client.embed_texts(["a"] * 8))
                await asyncio.sleep(wait_s)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
            await asyncio.sleep(0.2)  # the server ends the requests that lost their client
            server.most_in_flight = 0
            assert len(await client.embed_texts(["a"] * 8)) == 8
            assert server.most_in_flight == 2


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_request_that_the_server_did_not_work_on_is_sent_again(status: int) -> None:
    with running(EmbeddingServer()) as server, Client(server.url, progress=False) as client:
        server.statuses = [status]
        assert client.embed_texts(["a"]).tolist() == [[1, 1]]
        assert len(server.bodies) == 2


@pytest.mark.parametrize("status", [400, 401, 413, 500, 504])
def test_any_other_refusal_ends_the_call_at_once(status: int) -> None:
    with running(EmbeddingServer()) as server, Client(server.url, progress=False) as client:
        server.statuses = [status]
        with pytest.raises(Refused) as refused:
            client.embed_texts(["a"])
        assert (refused.value.status, len(server.bodies)) == (status, 1)


def test_a_misspelt_parameter_is_a_type_error() -> None:
    with running(EmbeddingServer()) as server, Client(server.url, progress=False) as client:
        with pytest.raises(TypeError, match="dicom_windw"):
            client.embed_images([png()], dicom_windw="lung")  # type: ignore[call-arg]
        with pytest.raises(ValueError, match='errors must be "raise" or "skip"'):
            client.embed_texts(["a"], errors="ignore")  # type: ignore[arg-type]


def test_repr_shows_the_url_and_the_model_once_it_is_known() -> None:
    with running(EmbeddingServer()) as server, Client(server.url, progress=False) as client:
        assert repr(client) == f"Client('{server.url}')"
        client.info()
        assert repr(client) == f"Client('{server.url}', model='stand-in')"
