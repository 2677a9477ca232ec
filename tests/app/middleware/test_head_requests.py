"""HEAD is answered wherever GET is, with the same headers and without a body."""

import http.client
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from app.main import create_app
from app.settings import Settings
from tests.docs.test_coverage import paths_of
from tests.support.servers.server_process import Server, started
from tests.support.servers.serving import wait_until_ready

CHANGES = {"date", "x-request-id", "x-ms-request-id"}  # from one answer to the next
ORIGIN = {"Origin": "https://viewer.example"}


@pytest.fixture(scope="module")
def server(small_release: Path) -> Iterator[Server]:
    with started(small_release, cors_origins=ORIGIN["Origin"]) as server:
        wait_until_ready(server.url)
        yield server


def answered(server: Server, method: str, path: str) -> tuple[int, dict[str, str], bytes]:
    """Ask, and read everything that the server sends until it closes the connection."""
    with server.connect() as connection:
        head = f"{method} {path} HTTP/1.1\r\nHost: it\r\nConnection: close\r\nOrigin: {ORIGIN['Origin']}\r\n\r\n"
        connection.sendall(head.encode())
        with connection.makefile("rb") as stream:
            status = int(stream.readline().split()[1])
            headers = http.client.parse_headers(stream)
            return status, {name.lower(): value for name, value in headers.items()}, stream.read()


MOUNTED = ("/static-offline-docs", "/web")  # folders of files


def all_paths() -> list[str]:
    paths = sorted(set(paths_of(create_app(Settings()).routes)))
    return [path.replace("{name:path}", "2024.09.27") for path in paths if path not in MOUNTED]


@pytest.mark.parametrize("path", [*all_paths(), "/static-offline-docs/favicon.png", "/web/page.js", "/nothing"])
def test_head_has_the_headers_of_get_and_no_body(path: str, server: Server) -> None:
    status, headers, body = answered(server, "GET", path)
    head_status, head_headers, nothing = answered(server, "HEAD", path)
    assert (head_status, nothing) == (status, b"")
    same = headers.keys() - CHANGES - ({"content-length"} if path in ("/metrics", "/info") else set())
    assert {name: head_headers[name] for name in same} == {name: headers[name] for name in same}
    assert head_headers.keys() == headers.keys()
    assert int(headers["content-length"]) == len(body)
    assert int(head_headers["content-length"]) > 0
    assert headers["access-control-allow-origin"] == ORIGIN["Origin"]


def test_a_kept_connection_goes_on_after_head(server: Server) -> None:
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc)
    for method in ("HEAD", "GET", "HEAD", "GET"):
        connection.request(method, "/health/ready")
        answer = connection.getresponse()
        assert (answer.status, answer.read()) == (200, b'{"status":"ready"}' if method == "GET" else b"")
    connection.close()


def test_head_is_not_documented() -> None:
    operations = create_app(Settings()).openapi()["paths"].values()
    assert {method for operation in operations for method in operation} == {"get", "post"}
