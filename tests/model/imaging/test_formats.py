"""Files in no accepted format are refused, by their name if it is a usual one."""

import time

import pytest

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.images import decode

MAX_PIXELS = 64_000_000
ACCEPTED = "DICOM, NIfTI, NRRD, PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 and AVIF"


@pytest.mark.parametrize("data", [b"chest x-ray, no finding", b"\0" * 1000])
def test_a_file_that_is_not_an_image_is_refused_with_the_accepted_formats(data: bytes) -> None:
    with pytest.raises(ImageDecodeError, match=f"cannot be read as any of {ACCEPTED}"):
        decode(data, max_pixels=MAX_PIXELS)


def test_an_empty_file_is_refused() -> None:
    with pytest.raises(ImageDecodeError, match="the image is empty"):
        decode(b"", max_pixels=MAX_PIXELS)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%PDF-1.7\n", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIC (HEIF)"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0mif1heic", "HEIC (HEIF)"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "video"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0", "video"),
        (b"\x1a\x45\xdf\xa3\x9f\x42", "video"),
        (b"RIFF\0\0\0\0AVI LIST", "video"),
        (b"\xff\x0a\xfa\x7f", "JPEG XL"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"PK\x03\x04\x14\0", "ZIP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\n <?xml version='1.0'?>\n<!-- made by -->\n<!-- hand -->\n<!DOCTYPE svg PUBLIC '-//W3C'>\n<svg>", "SVG"),
    ],
)
def test_other_formats_are_refused_by_their_name(data: bytes, name: str) -> None:
    with pytest.raises(ImageFormatUnsupported) as error:
        decode(data, max_pixels=MAX_PIXELS)
    assert str(error.value) == f"the image has the format {name}; accepted formats are {ACCEPTED}"


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"\xff\xd8\xff", "JPEG"),
        (b"GIF89a", "GIF"),
        (b"BM", "BMP"),
        (b"RIFF\x10\0\0\0WEBPVP8 ", "WebP"),
        (b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG 2000"),
        (b"II*\0\x08\0\0\0", "TIFF"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "AVIF"),
    ],
)
def test_a_file_that_only_begins_as_an_accepted_format_is_damaged(data: bytes, name: str) -> None:
    with pytest.raises(ImageDecodeError, match=f"the {name} image is (damaged|cut short)"):
        decode(data, max_pixels=MAX_PIXELS)


@pytest.mark.timing
@pytest.mark.parametrize("part", [b"<!---->", b"<!-- -->\n", b"<?xml?>", b" ", b"<!--"])
def test_looking_for_svg_takes_no_time_whatever_the_bytes(part: bytes) -> None:
    start = time.process_time()
    with pytest.raises(ImageDecodeError):
        decode(part * 5000, max_pixels=MAX_PIXELS)
    assert time.process_time() - start < 0.5
