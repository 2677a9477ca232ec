"""Base64, data URIs and URLs."""

import base64
import re
import time
from collections.abc import Callable

import pytest

from model.errors import ImageDecodeError
from model.imaging.base64_images import decode_base64
from tests.support.samples import png

# What clients put around base64 text.
WRAPPINGS: dict[str, Callable[[str], str]] = {
    "bare": str,
    "newlines": lambda text: "\n".join(re.findall(".{1,76}", text)) + "\n",
    "carriage returns": lambda text: "\r\n".join(re.findall(".{1,76}", text)),
    "spaces around": lambda text: f"  {text}\t",
    "data URI": lambda text: f"data:image/png;base64,{text}",
    "data URI with parameters": lambda text: f"data:image/png;name=a.png;charset=utf-8;base64,{text}",
    "data URI in capitals": lambda text: f"DATA:IMAGE/PNG;BASE64,{text}",
    "data URI without a type": lambda text: f"data:;base64,{text}",
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
def test_base64_is_decoded_in_every_wrapping(wrapping: str) -> None:
    data = png()
    assert decode_base64(WRAPPINGS[wrapping](base64.b64encode(data).decode())) == data


@pytest.mark.parametrize(
    "text",
    [
        "QUJD*",
        "QUJDRA",
        "QUJDR===",
        "Q",
        "QUJD=QUJD",
        "QUJDé",
        "-_-_",
        "data:image/png,QUJD",
        "\ud800",
    ],
)
def test_invalid_base64_is_refused(text: str) -> None:
    with pytest.raises(ImageDecodeError) as error:
        decode_base64(text)
    assert str(error.value) == "the image is not valid base64 (standard alphabet, padded with '=')"


@pytest.mark.parametrize("text", ["", "\n", "data:image/png;base64,"])
def test_empty_base64_is_refused(text: str) -> None:
    with pytest.raises(ImageDecodeError, match="the image is empty"):
        decode_base64(text)


def test_40_mb_of_base64_are_decoded() -> None:
    text = base64.b64encode(bytes(30_000_000)).decode()
    assert len(text) == 40_000_000
    assert len(decode_base64(text)) == 30_000_000


@pytest.mark.timing
def test_40_mb_of_base64_are_quick() -> None:
    text = base64.b64encode(bytes(30_000_000)).decode()
    start = time.process_time()
    decode_base64(text)
    assert time.process_time() - start < 5


@pytest.mark.parametrize("url", ["https://127.0.0.1/SECRET.png", "HTTP://it/", "file:///etc/passwd", "s3://a/b"])
def test_a_url_is_refused_and_not_fetched(url: str) -> None:
    with pytest.raises(ImageDecodeError, match=r"a URL and fetching is off .*URL_ALLOWLIST.*send base64") as error:
        decode_base64(url)
    assert "SECRET" not in str(error.value)
