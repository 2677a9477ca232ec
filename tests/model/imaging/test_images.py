"""Hostile, damaged and unusual image files."""

import base64
import io
import random
import re
import struct
import subprocess
import sys
import time
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge, InvalidInput
from model.imaging.images import MOST_PIXELS, decode, decode_base64, open_image
from model.imaging.preprocessing import preprocess
from tests.conftest import IMAGES

MAX_PIXELS = 64_000_000
DEEP = np.array([[1000, 1500], [2000, 3000]])
DEEP_IN_8_BITS = [[0, 64], [128, 255]]

ACCEPTED = "DICOM, NIfTI, NRRD, PNG, JPEG, TIFF, BMP, GIF, WebP and JPEG 2000"


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def gradient(mode: str = "RGB", size: tuple[int, int] = (48, 32)) -> Image.Image:
    width, height = size
    red, green = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([red, green, red], axis=-1).astype(np.uint8)).convert(mode)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def huge_png(side: int = 30_000) -> bytes:
    """A whole black PNG of 1 bit a pixel."""
    packer = zlib.compressobj(9)
    rows = b"".join(packer.compress(bytes(1 + side // 8)) for _ in range(side)) + packer.flush()
    header = struct.pack(">IIBBBBB", side, side, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def tiled_tiff(tile_side: int, *, order: str = "<", kind: str = "I", big: bool = False) -> bytes:
    """A TIFF of one pixel in one deflated tile, whose sides are written as `kind`, a letter of `struct`."""
    data = zlib.compress(bytes(tile_side * tile_side), 9)
    word = "Q" if big else "I"
    types = {"H": 3, "I": 4, "i": 9, "Q": 16, "q": 17}
    tags = [
        (256, 1),
        (257, 1),
        (258, 8),
        (259, 8),
        (262, 1),
        (277, 1),
        (322, tile_side),
        (323, tile_side),
        (324, 0),
        (325, len(data)),
    ]
    start = 16 if big else 8
    directory_bytes = (8 + 20 * len(tags) + 8) if big else (2 + 12 * len(tags) + 4)
    aside = start + directory_bytes  # where a value too long for its entry lies
    entries = b""
    for tag, number in tags:
        letter = kind if tag in (322, 323) else "I"
        value = struct.pack(order + letter, aside + 8 if tag == 324 else number)
        if len(value) > struct.calcsize(order + word):
            value = struct.pack(order + word, aside)
        entries += struct.pack(f"{order}HH{word}", tag, types[letter], 1) + value.ljust(
            struct.calcsize(order + word), b"\0"
        )
    mark = b"II" if order == "<" else b"MM"
    head = mark + (struct.pack(order + "HHHQ", 43, 8, 0, start) if big else struct.pack(order + "HI", 42, start))
    count = struct.pack(order + ("Q" if big else "H"), len(tags))
    return head + count + entries + bytes(8 if big else 4) + struct.pack(order + "Q", tile_side) + data


def test_an_image_keeps_its_mode_and_its_pixels() -> None:
    image = decode(saved(gradient(), "PNG"), max_pixels=MAX_PIXELS)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(gradient()))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"])
def test_the_accepted_formats(kind: str) -> None:
    image = decode(saved(gradient("L"), kind), max_pixels=MAX_PIXELS).convert("L")
    assert np.abs(np.asarray(image, dtype=int) - np.asarray(gradient("L"), dtype=int)).mean() < 3


@pytest.mark.parametrize(
    ("mode", "kind"),
    [
        ("CMYK", "JPEG"),
        ("CMYK", "TIFF"),
        ("P", "PNG"),
        ("P", "GIF"),
        ("1", "PNG"),
        ("1", "TIFF"),
        ("LA", "PNG"),
        ("RGBA", "PNG"),
        ("RGBA", "WEBP"),
        ("YCbCr", "TIFF"),
        ("LAB", "TIFF"),
        ("PA", "TIFF"),
    ],
)
def test_unusual_modes_are_left_to_the_preprocessing(mode: str, kind: str) -> None:
    source = Image.new(mode, (9, 9), 0) if mode in ("LAB", "PA", "RGBA") else gradient(mode)
    image = decode(saved(source, kind), max_pixels=MAX_PIXELS)
    assert image.mode == mode
    assert preprocess(image, (8, 8), None).shape == (8, 8, 3)


@pytest.mark.parametrize(
    ("dtype", "kind"),
    [
        ("<u2", "PNG"),
        ("<u2", "TIFF"),
        (">u2", "TIFF"),
        ("<i4", "TIFF"),
        ("<f4", "TIFF"),
    ],
)
def test_deep_grey_is_scaled_to_its_own_range(dtype: str, kind: str) -> None:
    image = decode(saved(Image.fromarray(DEEP.astype(dtype)), kind), max_pixels=MAX_PIXELS)
    assert image.mode == "L"
    assert np.asarray(image).tolist() == DEEP_IN_8_BITS


def test_a_deep_tiff_whose_zero_is_white_is_inverted() -> None:
    white_is_zero = saved(Image.fromarray(DEEP.astype(np.uint16)), "TIFF", tiffinfo={262: 0})
    assert np.array_equal(np.asarray(decode(white_is_zero, max_pixels=MAX_PIXELS)), 255 - np.array(DEEP_IN_8_BITS))


@pytest.mark.parametrize(
    ("values", "in_8_bits"),
    [
        ([[-0.5, 0.0, 0.5]], [[0, 128, 255]]),
        ([[7.0, 7.0]], [[0, 0]]),
        ([[0.0, np.nan, 1.0, np.inf, -np.inf]], [[0, 0, 255, 0, 0]]),  # what is no number becomes the smallest
        ([[np.nan, np.inf]], [[0, 0]]),
        ([[-3e38, 0.0, 3e38]], [[0, 128, 255]]),  # the range itself is no float32
        ([[0.0, 1e-45]], [[0, 255]]),
    ],
)
def test_floating_point_of_any_range(values: list[list[float]], in_8_bits: list[list[int]]) -> None:
    image = decode(saved(Image.fromarray(np.array(values, dtype=np.float32)), "TIFF"), max_pixels=MAX_PIXELS)
    assert np.asarray(image).tolist() == in_8_bits


def test_a_deep_image_is_scaled_alike_wherever_a_pixel_stands() -> None:
    values = np.tile(np.arange(3000, dtype=np.uint16), (500, 1))  # more pixels than are scaled at once
    scaled = np.asarray(decode(saved(Image.fromarray(values), "TIFF"), max_pixels=MAX_PIXELS))
    assert np.array_equal(scaled, np.rint(values * (255 / 2999)))


@pytest.mark.parametrize(
    ("kind", "options"),
    [("GIF", {"duration": 100}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("MPO", {})],
)
def test_of_several_frames_or_pages_the_first_counts(kind: str, options: dict[str, Any]) -> None:
    red, others = Image.new("RGB", (8, 8), "red"), [Image.new("RGB", (8, 8), colour) for colour in ("lime", "blue")]
    data = saved(red, kind, save_all=True, append_images=others, **options)
    red_green_blue = np.asarray(decode(data, max_pixels=MAX_PIXELS).convert("RGB"), dtype=int)
    assert np.abs(red_green_blue - (255, 0, 0)).max() < 5


def test_a_rotated_jpeg_is_taken_as_stored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn it by a quarter to see it upright
    plain = decode(saved(gradient(), "JPEG"), max_pixels=MAX_PIXELS)
    rotated = decode(saved(gradient(), "JPEG", exif=exif), max_pixels=MAX_PIXELS)
    assert rotated.getexif()[0x0112] == 6
    assert np.array_equal(np.asarray(plain), np.asarray(rotated))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF"])
def test_one_pixel_is_an_image(kind: str) -> None:
    assert decode(saved(Image.new("L", (1, 1), 200), kind), max_pixels=1).size == (1, 1)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP"])
def test_a_truncated_image_is_damaged(kind: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = saved(noise, kind)
    with pytest.raises(ImageDecodeError) as error:
        decode(whole[: len(whole) // 2], max_pixels=MAX_PIXELS)
    assert str(error.value) in (
        f"the {kind} image is damaged or cut short",
        f"the image cannot be read as any of {ACCEPTED}",
    )


@pytest.mark.parametrize("data", [b"chest x-ray, no finding", b"\0" * 1000, b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_what_is_no_image_is_told_what_would_be(data: bytes) -> None:
    with pytest.raises(ImageDecodeError, match=f"cannot be read as any of {ACCEPTED}"):
        decode(data, max_pixels=MAX_PIXELS)


@pytest.mark.parametrize("url", ["https://127.0.0.1/SECRET.png", "HTTP://it/", "file:///etc/passwd", "s3://a/b"])
def test_a_url_is_refused_and_not_fetched(url: str) -> None:
    with pytest.raises(ImageDecodeError, match=r"a URL: fetching is off .*URL_ALLOWLIST.*send base64") as error:
        decode_base64(url)
    assert "SECRET" not in str(error.value)


def test_nothing_is_no_image() -> None:
    with pytest.raises(ImageDecodeError, match="the image is empty"):
        decode(b"", max_pixels=MAX_PIXELS)


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"%PDF-1.7\n", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "HEIF or video"),
        (b"\x1f\x8b\x08\0", "gzip"),
        (b"PK\x03\x04\x14\0", "ZIP"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"\n <?xml version='1.0'?>\n<!-- made by -->\n<!-- hand -->\n<!DOCTYPE svg PUBLIC '-//W3C'>\n<svg>", "SVG"),
    ],
)
def test_other_formats_are_refused_by_their_name(data: bytes, name: str) -> None:
    with pytest.raises(ImageFormatUnsupported) as error:
        decode(data, max_pixels=MAX_PIXELS)
    assert str(error.value) == f"the image is {name}; accepted are {ACCEPTED}"


def test_a_format_that_pillow_knows_is_not_opened_unless_accepted() -> None:
    for kind in ("PPM", "ICO", "TGA", "PCX", "SGI"):
        with pytest.raises(ImageDecodeError):
            decode(saved(gradient(), kind), max_pixels=MAX_PIXELS)


@pytest.mark.timing
@pytest.mark.parametrize("part", [b"<!---->", b"<!-- -->\n", b"<?xml?>", b" ", b"<!--"])
def test_looking_for_svg_takes_no_time_whatever_the_bytes(part: bytes) -> None:
    start = time.process_time()
    with pytest.raises(ImageDecodeError):
        decode(part * 5000, max_pixels=MAX_PIXELS)
    assert time.process_time() - start < 0.5


def enlarged(data: bytes, at: int, form: str, *sides: int) -> bytes:
    """A file whose header announces other sides."""
    return data[:at] + struct.pack(form, *sides) + data[at + struct.calcsize(form) :]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(huge_png(9_000), id="PNG"),
        pytest.param(enlarged(saved(gradient(), "GIF"), 6, "<HH", 65_535, 65_535), id="GIF"),
        pytest.param(enlarged(saved(gradient(), "BMP"), 18, "<ii", 30_000, 30_000), id="BMP"),
        pytest.param(enlarged(saved(gradient(), "WEBP"), 26, "<HH", 16_383, 16_383), id="WEBP"),
        pytest.param(
            enlarged(jpeg := saved(gradient(), "JPEG"), jpeg.index(b"\xff\xc0") + 5, ">HH", 65_535, 65_535), id="JPEG"
        ),
        pytest.param(
            saved(gradient(), "TIFF")
            .replace(struct.pack("<HHII", 256, 4, 1, 48), struct.pack("<HHII", 256, 4, 1, 30_000))
            .replace(struct.pack("<HHII", 257, 4, 1, 32), struct.pack("<HHII", 257, 4, 1, 30_000)),
            id="TIFF",
        ),
    ],
)
def test_a_header_that_announces_too_many_pixels_is_enough_to_refuse(data: bytes) -> None:
    with pytest.raises(ImageTooLarge) as error:
        open_image(data, max_pixels=MAX_PIXELS)
    assert str(error.value) == "the image has more than the 64,000,000 pixels that are allowed; send it smaller"


def test_the_limit_is_in_pixels_and_exact() -> None:
    data = saved(gradient(size=(40, 25)), "PNG")
    assert decode(data, max_pixels=1000).size == (40, 25)
    with pytest.raises(ImageTooLarge, match="more than the 999 pixels"):
        decode(data, max_pixels=999)
    assert MOST_PIXELS == Image.MAX_IMAGE_PIXELS


@pytest.mark.parametrize(
    ("order", "big"), [("<", False), (">", False), ("<", True)]
)  # Pillow has no big-endian BigTIFF
@pytest.mark.parametrize("kind", ["H", "I", "i", "Q", "q"])  # "q" is a type that libtiff reads and Pillow does not
def test_a_tiff_of_one_pixel_cannot_hide_a_huge_tile(kind: str, order: str, big: bool) -> None:
    data = tiled_tiff(2048, order=order, kind=kind, big=big)
    assert decode(data, max_pixels=2048 * 2048).size == (1, 1)
    with pytest.raises(ImageTooLarge):
        open_image(data, max_pixels=2048 * 2048 - 1)


@pytest.mark.parametrize("bomb", [huge_png(), tiled_tiff(16_000)], ids=["PNG", "TIFF"])
def test_a_bomb_is_too_large(bomb: bytes) -> None:
    with pytest.raises(ImageTooLarge):
        decode(bomb, max_pixels=MAX_PIXELS)


@pytest.mark.timing
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="peak memory is read from Linux")
def test_bombs_cost_neither_time_nor_memory() -> None:
    bombs = {"PNG": huge_png(), "TIFF": tiled_tiff(16_000)}
    assert all(len(data) < 300_000 for data in bombs.values())
    program = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from model.imaging.images import ImageTooLarge, decode\n"
        "start = time.process_time()\n"
        "data = sys.stdin.buffer.read()\n"
        "try:\n"
        "    decode(data, max_pixels=64_000_000)\n"
        "except ImageTooLarge:\n"
        "    peak = next(line for line in Path('/proc/self/status').open() if line.startswith('VmHWM'))\n"
        "    print(time.process_time() - start, peak.split()[1])\n"
    )
    for data in bombs.values():
        done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True, check=True, timeout=30)
        seconds, kilobytes = map(float, done.stdout.split())
        assert seconds < 1
        assert kilobytes < 150_000


def jpeg_with_endless_scans() -> bytes:
    whole = saved(gradient("L", (2000, 2000)), "JPEG", progressive=True)
    last_scan = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last_scan * 5000 + whole[-2:]


def test_a_jpeg_with_endless_scans_is_refused() -> None:
    with pytest.raises(ImageDecodeError, match="more than 100 scans"):
        decode(jpeg_with_endless_scans(), max_pixels=MAX_PIXELS)


@pytest.mark.timing
def test_a_jpeg_with_endless_scans_is_refused_before_it_is_decoded() -> None:
    data = jpeg_with_endless_scans()
    start = time.process_time()
    with pytest.raises(ImageDecodeError):
        decode(data, max_pixels=MAX_PIXELS)
    assert time.process_time() - start < 0.5


def fuzzed(data: bytes, rng: random.Random) -> bytes:
    """A file with some bytes changed, most of them in its header, or cut short, or both."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 30))):
        damaged[rng.randrange(min(len(damaged), rng.choice((400, len(damaged)))))] = rng.choice(
            (0, 127, 255, rng.randrange(256))
        )
    return bytes(damaged[: rng.randrange(len(damaged))] if rng.random() < 0.3 else damaged)


@pytest.mark.filterwarnings("ignore")  # Pillow's own about damaged metadata
@pytest.mark.parametrize("seed", range(6))
def test_random_damage_gives_an_image_or_an_invalid_input(seed: int) -> None:
    rng = random.Random(seed)
    files = [file.read_bytes() for file in sorted(IMAGES.iterdir())]
    files += [
        saved(gradient(mode), kind) for mode, kind in (("P", "GIF"), ("RGB", "BMP"), ("RGB", "WEBP"), ("RGB", "TIFF"))
    ]
    for _ in range(10):
        for data in files:
            try:
                image = decode(fuzzed(data, rng), max_pixels=4_000_000)
            except InvalidInput:
                continue
            assert preprocess(image, (8, 8), None).shape == (8, 8, 3)


# What a picture may be wrapped in on its way through JSON.
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
def test_base64(wrapping: str) -> None:
    data = saved(gradient(), "PNG")
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
def test_what_is_no_base64(text: str) -> None:
    with pytest.raises(ImageDecodeError) as error:
        decode_base64(text)
    assert str(error.value) == "the image is not valid base64 (standard alphabet, padded with '=')"


@pytest.mark.parametrize("text", ["", "\n", "data:image/png;base64,"])
def test_empty_base64(text: str) -> None:
    with pytest.raises(ImageDecodeError, match="the image is empty"):
        decode_base64(text)


def test_40_mb_of_base64() -> None:
    text = base64.b64encode(bytes(30_000_000)).decode()
    assert len(text) == 40_000_000
    assert len(decode_base64(text)) == 30_000_000


@pytest.mark.timing
def test_40_mb_of_base64_are_quick() -> None:
    text = base64.b64encode(bytes(30_000_000)).decode()
    start = time.process_time()
    decode_base64(text)
    assert time.process_time() - start < 5
