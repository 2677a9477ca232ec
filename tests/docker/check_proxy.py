"""`python -m tests.docker.check_proxy PLAIN TLS CA`: the service answers the same with and without the proxy.

PLAIN is the URL of the service, TLS the URL of the proxy, CA the file of the authority that signed its certificate.
The service must run with BODY_TIMEOUT_S=2, and with CONCURRENT_BATCHES=1 for answers that are equal bit by bit.
"""

import ssl
import sys
import time
from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from tests.docker import check_page
from tests.docker.compare_answer import IMAGE
from tests.support.samples import encoded, table

LIMIT = 64 * 2**20
ROWS = 8  # enough texts for an answer that is compressed
HEADERS = {"content-type": "application/json", "accept-encoding": "gzip", "x-request-id": "a-request-of-ours"}


def slowly(body: bytes) -> Iterator[bytes]:
    """Yield half of a body, and the rest after the server's time limit."""
    yield body[: len(body) // 2]
    time.sleep(4)
    yield body[len(body) // 2 :]


def whole(size: int) -> bytes:
    """A body of exactly this many bytes, most of them zeros after the end of its image, with the same answer."""
    rows = [["IMAGE", "computed tomography"], *[["", "mri breast"]] * ROWS]
    head, tail = orjson.dumps(table(["image", "text"], rows)).split(b"IMAGE")
    image_bytes = (size - len(head) - len(tail)) // 4 * 3
    body = head + encoded(IMAGE.read_bytes().ljust(image_bytes, b"\0")).encode() + tail
    return body.ljust(size)


def check(plain: httpx.Client, proxied: httpx.Client) -> None:
    image = encoded(IMAGE.read_bytes())
    body = orjson.dumps(table(["image", "text"], [[image, "computed tomography"], *[["", "mri breast"]] * ROWS]))

    def ask(client: httpx.Client, content: bytes | Iterator[bytes] = body) -> httpx.Response:
        return client.post("/embed", content=content, headers=HEADERS)

    there, here = ask(plain), ask(proxied)
    assert there.status_code == here.status_code == httpx.codes.OK, here.text
    assert here.json() == there.json()
    assert len(here.json()[0]["image_features"][0]) > 0
    assert here.headers["x-request-id"] == HEADERS["x-request-id"]
    assert here.headers["content-encoding"] == "gzip"
    assert "device" in here.headers["server-timing"]
    assert "alt-svc" not in here.headers  # HTTP/3 would need a UDP port

    padded = whole(LIMIT)
    assert ask(proxied, padded).json() == there.json()
    assert ask(proxied, iter([padded[: LIMIT // 2], padded[LIMIT // 2 :]])).json() == there.json()
    for too_large in (padded + b" ", iter([padded, b" "])):
        refusal = ask(proxied, too_large)
        assert refusal.status_code == httpx.codes.REQUEST_ENTITY_TOO_LARGE, refusal.text
        assert refusal.json()["code"] == "body_too_large"

    began = time.monotonic()
    refusal = ask(proxied, slowly(body))
    assert refusal.status_code == httpx.codes.REQUEST_TIMEOUT, refusal.text
    assert time.monotonic() - began < 4 + 1

    there, here = (client.get("/", headers=check_page.BROWSER) for client in (plain, proxied))
    assert here.content == there.content
    assert here.headers["content-security-policy"] == there.headers["content-security-policy"]

    bad = ask(proxied, b"{")
    assert bad.status_code == httpx.codes.BAD_REQUEST
    assert bad.json().keys() == ask(plain, b"{").json().keys()


def main(plain: str, tls: str, authority: str) -> None:
    with pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        httpx.get(tls, trust_env=False)  # the system does not trust the authority
    settings: dict[str, Any] = {"timeout": 60, "trust_env": False}
    verified = ssl.create_default_context(cafile=authority)
    with (
        httpx.Client(base_url=plain, **settings) as direct,
        httpx.Client(base_url=tls, verify=verified, **settings) as proxied,
    ):
        check(direct, proxied)
    names = [[file.removeprefix(url) for file in check_page.check(url, verified)] for url in (plain, tls)]
    assert names[0] == names[1]
    print(f"the page and its {len(names[1])} files are the same through the proxy")


if __name__ == "__main__":
    main(*sys.argv[1:])
