"""Connection errors: each names the URL and the likely cause."""

import socket
import traceback
from typing import Any

import pytest
from medimageinsight import Client, Refused, ServerUnreachable

from tests.support.servers.embedding_server import EmbeddingServer, running


def failed(url: str, shown: str | None = None, api_key: str | None = None) -> str:
    """The message of a client that asks a URL once, and shows it as it is or as `shown`."""
    options: dict[str, Any] = {"api_key": api_key, "progress": False, "attempts": 1}
    with pytest.raises(ServerUnreachable) as failure, Client(url, **options) as client:
        client.info()
    error = failure.value
    trace = "".join(traceback.format_exception(error))
    assert "During handling" not in trace
    assert "secret" not in trace.replace(__file__, "")
    message = str(error)
    assert message.startswith(f"no MedImageInsight Server answers at {shown or url}: ")
    return message


def test_a_url_without_a_scheme_is_one_of_http() -> None:
    with running(EmbeddingServer()) as server, Client(server.url.removeprefix("http://"), progress=False) as client:
        assert "limits" in client.info()
        assert repr(client).startswith(f"Client('{server.url}'")


@pytest.mark.parametrize("url", ["me:pw@", "me@", "http://me:p@w@"])
def test_a_url_may_have_a_user_which_is_never_shown(url: str) -> None:
    with running(EmbeddingServer()) as server:
        place = server.url.removeprefix("http://")
        with Client(f"{url}{place}", progress=False) as client:
            assert "limits" in client.info()
            assert repr(client).startswith(f"Client('http://***@{place}'")
        shown = f"http://***@{place}/embed"
        message = failed(f"{url.removeprefix('http://')}{place}/embed", shown)
        assert f"{shown}/info answers 404; the URL must end before /embed" in message


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("http://me:secret#x@host", "http://***@host"),
        ("http://me:secret/x@host", "http://***@host"),
        ("http://12:3#secret@host", "http://***@host"),
        ("http://me:secret?x@host", "http://***"),
        ("me:secret?x@host", "http://***"),
    ],
)
def test_a_password_that_splits_its_url_is_not_shown(url: str, shown: str) -> None:
    assert failed(url, shown).endswith("in a user name or password, write these as %2F, %3F and %23")


def test_a_query_in_the_base_url_is_refused_and_not_shown() -> None:
    assert failed("localhost:8000?key=secret", "http://localhost:8000?***").endswith(": the URL must end before the ?")


def test_a_key_that_cannot_be_sent_is_not_shown() -> None:
    with running(EmbeddingServer()) as server:
        assert "check that the api_key has no line break" in failed(server.url, api_key="secret\nkey")


@pytest.mark.parametrize("scheme", ["ftp", "file", "grpc", "unix"])
def test_a_url_of_another_scheme(scheme: str) -> None:
    sentence = f"the URL starts with {scheme}:, but must start with http:// or https://"
    assert sentence in failed(f"{scheme}://localhost:8000")


@pytest.mark.parametrize("url", ["http://", "https:localhost", "http:/localhost:8000"])
def test_a_url_without_a_host(url: str) -> None:
    assert "the URL has no host" in failed(url)


def test_a_port_without_a_listener() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert f"check that the server runs and listens on port {port}" in failed(f"http://127.0.0.1:{port}")


def test_https_for_a_server_that_speaks_http() -> None:
    with running(EmbeddingServer()) as server:
        assert "write http:// instead of https://" in failed(server.url.replace("http:", "https:"))


def test_a_route_in_the_base_url() -> None:
    with running(EmbeddingServer()) as server:
        assert "the URL must end before /embed" in failed(f"{server.url}/embed")


def test_a_server_of_another_kind() -> None:
    class Other(EmbeddingServer):
        def info(self) -> dict[str, object]:
            return {"name": "other"}

    with running(Other()) as server:
        assert "is not that of a MedImageInsight Server" in failed(server.url)


def test_a_refused_key_says_what_to_do() -> None:
    with running(EmbeddingServer()) as server:
        server.statuses = [401, 403]
        for api_key, advice in ((None, "give this client an api_key"), ("k", "check the api_key of this client")):
            with Client(server.url, api_key=api_key, progress=False) as client:
                client.info()
                with pytest.raises(Refused, match=advice):
                    client.embed_texts(["a"])


def test_a_refused_user_of_the_url_is_not_taken_for_the_key() -> None:
    with running(EmbeddingServer()) as server:
        server.statuses = [401]
        with Client(server.url.replace("//", "//me:pw@"), api_key="k", progress=False) as client:
            client.info()
            with pytest.raises(Refused, match="sent instead of the api_key; leave them out of the URL"):
                client.embed_texts(["a"])
