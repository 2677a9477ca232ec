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
        "/9j/4AAQSkZJRgABA",
        "chest x-ray, 7 mm.",
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


@pytest.mark.parametrize(
    "path",
    [
        "SECRET.dcm",
        "SECRET scan.nii.gz",
        "/data/SECRET.PNG",
        "/data/SECRET-0001",
        "./SECRET",
        "../SECRET",
        "~/SECRET",
        r"C:\SECRET\y.dcm",
        "c:/SECRET/y",
        r"\\nas\SECRET",
        "file:SECRET",
        "file:///SECRET/x",
    ],
)
def test_a_file_path_is_refused_in_words_and_not_repeated(path: str) -> None:
    with pytest.raises(ImageDecodeError) as error:
        decode_base64(path)
    assert "looks like a file path, and the server reads no paths; send the file's bytes as base64" in str(error.value)
    assert "SECRET" not in str(error.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("-_-_", "base64 in the URL alphabet; send + for - and / for _"),
        (base64.urlsafe_b64encode(bytes(range(256)) * 100).decode(), "base64 in the URL alphabet"),
        ("data:image/png,QUJD", "a data: URI without base64; send data:TYPE;base64,DATA"),
        ("b'\\x89PNG'", "the repr of Python bytes; send the result of base64.b64encode(data).decode()"),
        ("data:image/png;base64,QUJD%2BA%3D%3D", "URL-encoded base64; send +, / and = as they are"),
        ("QUJD" * 5000 + "QUI%3D", "URL-encoded base64"),
    ],
    ids=["URL alphabet", "long URL alphabet", "data URI", "bytes", "URL-encoded", "long URL-encoded"],
)
def test_what_is_sent_instead_of_base64_is_named_with_what_would_be_right(text: str, words: str) -> None:
    with pytest.raises(ImageDecodeError) as error:
        decode_base64(text)
    assert f"the image is not valid base64: it looks like {words}" in str(error.value)


@pytest.mark.parametrize("url", ["https://127.0.0.1/SECRET.png", "HTTP://it/", "s3://a/b"])
def test_a_url_is_refused_and_not_fetched(url: str) -> None:
    with pytest.raises(ImageDecodeError, match=r"a URL and fetching is off .*URL_ALLOWLIST.*send base64") as error:
        decode_base64(url)
    assert "SECRET" not in str(error.value)
