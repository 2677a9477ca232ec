"""Requests whose end two programs could see in different places: none of them makes a second request out of a body."""

from collections.abc import Iterator

import pytest

from model.engine import EmbeddingEngine
from tests.support.servers.raw_http import Answer
from tests.support.servers.thread_server import ThreadServer, serving_in_thread

POST = b"POST /embed HTTP/1.1\r\nHost: it\r\nContent-Type: application/json\r\n"
HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: it\r\n\r\n"
CHUNKS = b"0\r\n\r\n"
AMBIGUOUS = {
    "content-length and transfer-encoding": b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n" + CHUNKS,
    "transfer-encoding and content-length": b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + CHUNKS,
    "two different lengths": b"Content-Length: 0\r\nContent-Length: 35\r\n\r\n",
    "two equal lengths": b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na",
    "a list of lengths": b"Content-Length: 0, 35\r\n\r\n",
    "a length with a sign": b"Content-Length: +1\r\n\r\na",
    "a negative length": b"Content-Length: -1\r\n\r\n",
    "a hexadecimal length": b"Content-Length: 0x1\r\n\r\na",
    "an empty length": b"Content-Length:\r\n\r\n",
    "a length beyond 64 bits": b"Content-Length: 99999999999999999999999\r\n\r\n",
    "a blank before the colon": b"Content-Length : 35\r\n\r\n",
    "a blank before the colon of the encoding": b"Transfer-Encoding : chunked\r\n\r\n" + CHUNKS,
    "a folded header": b"X: a\r\n Content-Length: 35\r\n\r\n",
    "a folded encoding": b"Transfer-Encoding:\r\n chunked\r\n\r\n" + CHUNKS,
    "a header line without a name": b": a\r\n\r\n",
    "a header line without a colon": b"Content-Length\r\n\r\n",
    "a control character in a name": b"Content\x00-Length: 35\r\n\r\n",
    "a control character in a value": b"X: a\x00b\r\n\r\n",
    "lines that end with LF": b"X: a\nContent-Length: 0\r\n\r\n",
    "lines that end with CR": b"X: a\rContent-Length: 35\r\n\r\n",
    "an unknown encoding": b"Transfer-Encoding: xchunked\r\n\r\n" + CHUNKS,
    "chunked, then another encoding": b"Transfer-Encoding: chunked, identity\r\n\r\n" + CHUNKS,
    "chunked, doubled": b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + CHUNKS,
    "a chunk size with a sign": b"Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n" + CHUNKS,
    "a chunk size with a prefix": b"Transfer-Encoding: chunked\r\n\r\n0x1\r\na\r\n" + CHUNKS,
    "a chunk size beyond 64 bits": b"Transfer-Encoding: chunked\r\n\r\n10000000000000001\r\na\r\n" + CHUNKS,
    "an empty chunk size": b"Transfer-Encoding: chunked\r\n\r\n\r\na\r\n" + CHUNKS,
    "a blank before a chunk size": b"Transfer-Encoding: chunked\r\n\r\n 1\r\na\r\n" + CHUNKS,
    "a blank after a chunk size": b"Transfer-Encoding: chunked\r\n\r\n1 \r\na\r\n" + CHUNKS,
    "a chunk that is longer than its size": b"Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n" + CHUNKS,
    "a chunk size that ends with LF": b"Transfer-Encoding: chunked\r\n\r\n1\na\r\n" + CHUNKS,
    "a chunk that ends with LF": b"Transfer-Encoding: chunked\r\n\r\n1\r\na\n" + CHUNKS,
    "a chunk extension with LF": b"Transfer-Encoding: chunked\r\n\r\n1;a\nb\r\na\r\n" + CHUNKS,
}


@pytest.fixture(scope="module")
def server(engine: EmbeddingEngine) -> Iterator[ThreadServer]:
    with serving_in_thread(engine, header_timeout_s=2.0, body_timeout_s=2.0) as server:
        yield server


def ask(server: ThreadServer, *parts: bytes) -> list[Answer]:
    with server.connect() as client:
        return client.ask(*parts)


@pytest.mark.parametrize("shape", AMBIGUOUS)
@pytest.mark.parametrize("apart", [False, True], ids=["at once", "apart"])
def test_an_ambiguous_request_is_refused_and_nothing_behind_it_is_read(
    shape: str, apart: bool, server: ThreadServer
) -> None:
    request = POST + AMBIGUOUS[shape]
    (answer,) = ask(server, request, HIDDEN) if apart else ask(server, request + HIDDEN)
    assert (answer.status, answer.code) == (400, "invalid_http")
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize(
    "framing",
    [b"Content-Length: %d\r\n\r\n%s", b"CONTENT-LENGTH:\t%d \r\n\r\n%s"],
)
def test_a_body_that_looks_like_a_request_is_a_body(framing: bytes, server: ThreadServer) -> None:
    answers = ask(server, POST + framing % (len(HIDDEN), HIDDEN), POST + b"Connection: close\r\n\r\n")
    assert [answer.code for answer in answers] == ["invalid_request", "invalid_request"]


def test_a_chunk_that_looks_like_a_request_is_a_body(server: ThreadServer) -> None:
    chunk = b"%X;a=b\r\n%s\r\n%s" % (len(HIDDEN), HIDDEN, CHUNKS)
    answers = ask(server, POST + b"Transfer-Encoding: Chunked\r\n\r\n" + chunk, POST + b"Connection: close\r\n\r\n")
    assert [answer.code for answer in answers] == ["invalid_request", "invalid_request"]


@pytest.mark.parametrize("name", [b"x-request-id", b"x-ms-request-id", b"x-ms-client-request-id"])
@pytest.mark.parametrize("inserted", [b"\r\nSet-Cookie: a=b", b"\rSet-Cookie: a=b", b"\x1b[31m", b"\x00"])
def test_an_id_adds_no_header_to_the_answer(name: bytes, inserted: bytes, server: ThreadServer) -> None:
    """CR LF ends the header of the request; the other characters are refused."""
    answers = ask(
        server, b"GET /health/live HTTP/1.1\r\nHost: it\r\nConnection: close\r\n%s: a%s\r\n\r\n" % (name, inserted)
    )
    (answer,) = answers
    assert "set-cookie" not in answer.headers
    assert "\x1b" not in "".join(answer.headers.values())
    assert answer.status == (200 if inserted.startswith(b"\r\n") else 400)


@pytest.mark.parametrize("padding", [b" ", b"\t", b"  \t "])
def test_blanks_around_a_value_do_not_change_it(padding: bytes, server: ThreadServer) -> None:
    (answer,) = ask(
        server,
        b"GET /health/live HTTP/1.1\r\nConnection:%sclose\r\nx-request-id:%sa%s\r\n\r\n" % (padding, padding, padding),
    )
    assert (answer.status, answer.headers["x-request-id"]) == (200, "a")


def test_doubled_keys_do_not_open_the_service(engine: EmbeddingEngine) -> None:
    get = b"GET /version HTTP/1.1\r\nHost: it\r\nConnection: close\r\n"
    with serving_in_thread(engine, api_keys="right") as server:
        for keys, status in (
            (b"x-api-key: wrong\r\nx-api-key: right\r\n", 403),
            (b"Authorization: Bearer wrong\r\nx-api-key: right\r\n", 403),
            (b"X-API-KEY:  right \r\n", 200),
            (b"x-api-key: RIGHT\r\n", 403),
        ):
            (answer,) = ask(server, get + keys + b"\r\n")
            assert answer.status == status
