"""Fetching of images from a real server on loopback: limits, redirects, addresses and certificates."""

import contextlib
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest

from app.errors import BodyTooLarge, RowError
from app.inference.admission import Admission, HeldBytes
from app.inference.bad_rows import BadRows
from app.inference.items import Item
from app.remote_images.addresses import Address
from app.remote_images.allowlist import AllowList
from app.remote_images.fetcher import ImageFetcher
from tests.support.samples import encoded, png
from tests.support.servers.picture_server import (
    ANSWERS,
    HOST,
    LOOPBACK,
    MAX_BYTES,
    answer,
    certificate,
    fetcher,
    picture_server,
    redirect,
)

SECRET = "Q7patientQ7"


def held() -> HeldBytes:
    return HeldBytes(Admission(queue_size=10, queue_bytes=10 * MAX_BYTES, max_concurrent_requests=10))


async def fetched_by(fetcher: ImageFetcher, items: list[Item]) -> tuple[list[Item], RowError | None]:
    """The items that were fetched, and the error of the first bad one."""
    bad_rows = BadRows()
    done = await fetcher.fetch_images(items, held(), bad_rows)
    bad_row = bad_rows.refusal
    assert bad_row is None or isinstance(bad_row, RowError)
    return done, bad_row


async def bytes_of(url: str, port: int, **options: Any) -> bytes:
    """The bytes that are fetched from one URL. Raises the cause of the error of its row."""
    items, bad_row = await fetched_by(fetcher(port, **options), [Item(7, url)])
    if bad_row is not None:
        assert (bad_row.row, bad_row.column) == (7, "image")
        raise bad_row.cause
    data = items[0].payload
    assert isinstance(data, bytes)
    return data


async def test_urls_are_replaced_by_their_files_and_other_items_stay() -> None:
    async with picture_server(ANSWERS) as server:
        url = f"http://{HOST}:{server.port}"
        items = [Item(0, encoded(png(3))), Item(1, f"{url}/a.png?size=1"), Item(2, png(4)), Item(3, f"{url}/moved#x")]
        fetched, bad_row = await fetched_by(fetcher(server.port), items)
    assert bad_row is None
    assert [item.payload for item in fetched] == [encoded(png(3)), png(1), png(4), png(2)]
    assert sorted(server.paths) == ["/a.png?size=1", "/b.png", "/moved"]


async def test_a_request_sends_nothing_of_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    (tmp_path / ".netrc").write_text(f"machine {HOST} login me password {SECRET}")
    monkeypatch.setenv("NETRC", str(tmp_path / ".netrc"))
    async with picture_server({"/a": redirect("/b")[:-2] + b"set-cookie: a=b\r\n\r\n", "/b": answer(b"b")}) as server:
        assert await bytes_of(f"http://{HOST}:{server.port}/a", server.port) == b"b"
    for head in server.heads:
        names = [line.partition(":")[0].lower() for line in head.split("\r\n")[1:] if line]
        assert sorted(names) == ["accept", "accept-encoding", "host", "user-agent"]
        assert f"host: {HOST}:{server.port}" in head.lower()


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("/nowhere", "UrlNotFetched", "answered 404, not 200"),
        ("/failing", "UrlNotFetched", "answered 500, not 200"),
        ("/loop", "UrlNotFetched", "redirects more than 3 times"),
        ("/slow", "UrlNotFetched", "did not arrive within 0.5 seconds"),
        ("/cut", "UrlNotFetched", "broke off its answer"),
        ("/gzip", "UrlNotFetched", "compressed its answer"),
        ("/broken", "UrlNotFetched", "does not answer in HTTP"),
        ("/absurd", "UrlNotFetched", "does not answer in HTTP"),
        ("/declared", "ImageTooLarge", "more than 100,000 bytes"),
        ("/endless", "ImageTooLarge", "more than 100,000 bytes"),
    ],
)
async def test_images_that_cannot_be_fetched(path: str, code: str, words: str) -> None:
    async with picture_server(ANSWERS) as server:
        with pytest.raises(Exception, match=words) as error:
            await bytes_of(f"http://{HOST}:{server.port}{path}", server.port, timeout_s=0.5 if "slow" in path else 30)
    assert type(error.value).__name__ == code
    assert SECRET not in str(error.value)


@pytest.mark.parametrize(
    "location",
    [
        f"http://other.test/{SECRET}",
        f"//other.test/{SECRET}",
        f"file:///etc/{SECRET}",
        f"ftp://{HOST}/{SECRET}",
        f"gopher://{HOST}/{SECRET}",
        f"http://{HOST}:1/{SECRET}",
        f"http://127.0.0.1/{SECRET}",
        f"http://{SECRET}@{HOST}/",
        f"data:image/png,{SECRET}",
    ],
)
async def test_every_redirect_is_checked_anew(location: str) -> None:
    async with picture_server({"/a": redirect(location)}) as server:
        with pytest.raises(Exception, match="URL") as error:
            await bytes_of(f"http://{HOST}:{server.port}/a", server.port)
    assert type(error.value).__name__ == "UrlNotAllowed"
    assert SECRET not in str(error.value)
    assert server.paths == ["/a"]


async def test_a_redirect_to_a_location_that_is_not_a_url() -> None:
    async with picture_server({"/a": redirect("http://[a")}) as server:
        with pytest.raises(Exception, match="redirects to a location that is not a URL"):
            await bytes_of(f"http://{HOST}:{server.port}/a", server.port)


@pytest.mark.parametrize(
    "found", [["127.0.0.1"], ["10.0.0.1"], ["8.8.8.8", "127.0.0.1"], ["::ffff:127.0.0.1"], ["169.254.169.254"], ["::1"]]
)
async def test_one_address_that_is_not_public_is_enough_to_refuse(found: list[str]) -> None:
    async def resolve(host: str, port: int) -> list[Address]:
        return [ip_address(address) for address in found]

    async with picture_server(ANSWERS) as server:
        allowlist = AllowList([f"http://{HOST}:{server.port}"])
        strict = ImageFetcher(allowlist, max_bytes=MAX_BYTES, timeout_s=5, resolve=resolve)
        _, bad_row = await fetched_by(strict, [Item(0, f"http://{HOST}:{server.port}/a.png")])
    assert bad_row is not None
    assert "has an address that is not public" in str(bad_row)
    assert server.paths == []


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1", "2130706433", "0x7f000001", "[::1]"])
async def test_loopback_by_any_name_is_refused_by_the_real_resolver(host: str) -> None:
    async with picture_server(ANSWERS) as server:
        url = f"http://{host}:{server.port}/a.png"
        strict = ImageFetcher(AllowList([url]), max_bytes=MAX_BYTES, timeout_s=5)
        _, bad_row = await fetched_by(strict, [Item(0, url)])
    assert bad_row is not None
    assert "not public" in str(bad_row) or "has no address" in str(bad_row)
    assert server.paths == []


async def test_the_connection_goes_to_the_address_that_was_checked_whatever_the_name_means_next() -> None:
    asked = 0

    async def rebinding(host: str, port: int) -> list[Address]:
        nonlocal asked
        asked += 1
        return [LOOPBACK if asked == 1 else ip_address("127.0.0.2")]

    async with picture_server(ANSWERS) as server:
        assert await bytes_of(f"http://{HOST}:{server.port}/a.png", server.port, resolve=rebinding) == png(1)
        assert asked == 1
        asked = 0
        # The second request of a redirect resolves and checks the name again.
        with pytest.raises(Exception, match="not public"):
            await bytes_of(f"http://{HOST}:{server.port}/moved", server.port, resolve=rebinding)


async def test_the_next_address_is_tried_when_one_does_not_answer() -> None:
    async def resolve(host: str, port: int) -> list[Address]:
        return [ip_address("127.0.0.3"), LOOPBACK]

    async with picture_server(ANSWERS) as server:
        options = {"resolve": resolve, "is_allowed": lambda address: True}
        assert await bytes_of(f"http://{HOST}:{server.port}/a.png", server.port, **options) == png(1)


async def test_an_address_that_is_silent_leaves_time_for_the_next() -> None:
    async def resolve(host: str, port: int) -> list[Address]:
        return [ip_address("127.0.0.2"), LOOPBACK]

    async with picture_server(ANSWERS) as server:
        with socket.create_server(("127.0.0.2", server.port), backlog=0), contextlib.ExitStack() as waiting:
            for _ in range(3):  # more than its backlog, so that it accepts no further connection
                one = waiting.enter_context(socket.socket())
                one.setblocking(False)
                one.connect_ex(("127.0.0.2", server.port))
            options = {"resolve": resolve, "is_allowed": lambda address: True, "timeout_s": 2.0}
            assert await bytes_of(f"http://{HOST}:{server.port}/a.png", server.port, **options) == png(1)


async def test_certificates_are_checked_against_the_name_though_an_address_is_connected_to(tmp_path: Path) -> None:
    server_tls, client_tls = certificate(HOST, tmp_path)
    async with picture_server(ANSWERS, server_tls) as server:
        url = f"https://{HOST}:{server.port}/a.png"
        assert await bytes_of(url, server.port, tls=client_tls) == png(1)
        with pytest.raises(Exception, match="cannot be reached"):
            await bytes_of(url, server.port)  # the usual authorities do not trust it
    server_tls, client_tls = certificate("other.test", tmp_path)
    async with picture_server(ANSWERS, server_tls) as server:
        with pytest.raises(Exception, match="cannot be reached"):
            await bytes_of(f"https://{HOST}:{server.port}/a.png", server.port, tls=client_tls)
    assert server.paths == []


async def test_the_first_bad_row_is_named_and_nothing_is_fetched_behind_one_that_is_not_allowed() -> None:
    async with picture_server(ANSWERS) as server:
        url = f"http://{HOST}:{server.port}"
        items = [Item(0, f"{url}/a.png"), Item(1, "https://other.test/"), Item(2, f"{url}/b.png")]
        done, bad_row = await fetched_by(fetcher(server.port), items)
        assert ([item.row for item in done], bad_row and bad_row.row) == ([0], 1)
        assert server.paths == ["/a.png"]
        items = [Item(0, f"{url}/a.png"), Item(1, f"{url}/nowhere"), Item(2, f"{url}/gzip"), Item(3, "ftp://a/")]
        done, bad_row = await fetched_by(fetcher(server.port), items)
        assert ([item.payload for item in done], bad_row and bad_row.row) == ([png(1)], 1)


async def test_every_good_url_is_fetched_if_bad_rows_are_answered() -> None:
    async with picture_server(ANSWERS) as server:
        url = f"http://{HOST}:{server.port}"
        names = ["https://other.test/", f"{url}/a.png", f"{url}/nowhere", f"{url}/b.png", "ftp://a/"]
        bad_rows = BadRows(answered=True)
        items = [Item(row, name) for row, name in enumerate(names)]
        done = await fetcher(server.port).fetch_images(items, held(), bad_rows)
    assert [(item.row, item.payload) for item in done] == [(1, png(1)), (3, png(2))]
    causes = {row: type(error.cause).__name__ for row, error in bad_rows.errors.items() if isinstance(error, RowError)}
    assert causes == {0: "UrlNotAllowed", 2: "UrlNotFetched", 4: "UrlNotAllowed"}


async def test_the_images_of_a_request_are_bounded_together() -> None:
    async with picture_server(ANSWERS) as server:
        items = [Item(row, f"http://{HOST}:{server.port}/large") for row in range(2)]
        with pytest.raises(BodyTooLarge, match="together more than 100,000 bytes"):
            await fetched_by(fetcher(server.port), items)


def test_bytes_of_a_request_that_has_ended_are_not_held() -> None:
    admission = Admission(queue_size=10, queue_bytes=1000, max_concurrent_requests=2)
    request = HeldBytes(admission)
    request.add(700)
    request.release()
    request.add(300)
    assert admission.bytes == 0
