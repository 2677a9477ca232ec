"""Connection errors: each names the URL and the likely cause."""

import socket
import traceback

import pytest
from medimageinsight import Client, Refused, ServerUnreachable

from tests.support.servers.embedding_server import EmbeddingServer, running


def failed(url: str) -> str:
    """The message of a client that asks a URL once."""
    with pytest.raises(ServerUnreachable) as failure, Client(url, progress=False, attempts=1) as client:
        client.info()
    error = failure.value
    assert "During handling" not in "".join(traceback.format_exception(error))
    message = str(error)
    assert message.startswith(f"no MedImageInsight Server answers at {url}: ")
    return message


def test_a_url_without_a_scheme_is_one_of_http() -> None:
    with running(EmbeddingServer()) as server, Client(server.url.removeprefix("http://"), progress=False) as client:
        assert "limits" in client.info()
        assert repr(client).startswith(f"Client('{server.url}'")


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
