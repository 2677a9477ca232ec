"""Formats that Pillow decodes: accepted, damaged, unusual and hostile files."""

import random
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from model.errors import ImageDecodeError, ImageTooLarge, InvalidInput
from model.imaging import limits
from model.imaging.images import check, decode
from model.imaging.preprocessing import preprocess
from tests.conftest import IMAGES
from tests.support.image_files.bombs.codestreams import jpeg_of_many_scans
from tests.support.image_files.raster import gradient, tiled_tiff
from tests.support.samples import huge_png, saved

MAX_PIXELS = 64_000_000


def enlarged(data: bytes, at: int, form: str, *sides: int) -> bytes:
    """The file with other sides in its header."""
    return data[:at] + struct.pack(form, *sides) + data[at + struct.calcsize(form) :]


def test_an_image_keeps_its_mode_and_its_pixels() -> None:
    image = decode(saved(gradient(), "PNG"), max_pixels=MAX_PIXELS)
    assert image.mode == "RGB"
    assert np.array_equal(np.asarray(image), np.asarray(gradient()))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "AVIF"])
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
    ("kind", "options"),
    [("GIF", {"duration": 100}), ("TIFF", {}), ("WEBP", {"lossless": True}), ("PNG", {}), ("MPO", {})],
)
def test_of_several_frames_or_pages_the_first_is_used(kind: str, options: dict[str, Any]) -> None:
    red, others = Image.new("RGB", (8, 8), "red"), [Image.new("RGB", (8, 8), colour) for colour in ("lime", "blue")]
    data = saved(red, kind, save_all=True, append_images=others, **options)
    red_green_blue = np.asarray(decode(data, max_pixels=MAX_PIXELS).convert("RGB"), dtype=int)
    assert np.abs(red_green_blue - (255, 0, 0)).max() < 5


def test_a_rotated_jpeg_is_taken_as_stored() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # orientation: turn by 90 degrees to see it upright
    plain = decode(saved(gradient(), "JPEG"), max_pixels=MAX_PIXELS)
    rotated = decode(saved(gradient(), "JPEG", exif=exif), max_pixels=MAX_PIXELS)
    assert rotated.getexif()[0x0112] == 6
    assert np.array_equal(np.asarray(plain), np.asarray(rotated))


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "TIFF"])
def test_one_pixel_is_an_image(kind: str) -> None:
    assert decode(saved(Image.new("L", (1, 1), 200), kind), max_pixels=1).size == (1, 1)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        *(("PNG", "PNG"), ("JPEG", "JPEG"), ("TIFF", "TIFF"), ("BMP", "BMP"), ("GIF", "GIF")),
        *(("WEBP", "WebP"), ("JPEG2000", "JPEG 2000"), ("AVIF", "AVIF")),
    ],
)
@pytest.mark.parametrize("kept", [0.1, 0.5, 0.97])
def test_a_truncated_image_is_damaged(kind: str, name: str, kept: float) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    whole = saved(noise, kind)
    with pytest.raises(ImageDecodeError, match=f"the {name} image is (damaged or )?cut short"):
        decode(whole[: int(len(whole) * kept)], max_pixels=MAX_PIXELS)


def test_a_format_that_pillow_knows_is_not_opened_unless_accepted() -> None:
    for kind in ("PPM", "ICO", "TGA", "PCX", "SGI"):
        with pytest.raises(ImageDecodeError):
            decode(saved(gradient(), kind), max_pixels=MAX_PIXELS)


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
        check(data, max_pixels=MAX_PIXELS)
    assert str(error.value) == "the image has more than 64,000,000 pixels, which is the limit; send a smaller image"


def test_the_limit_is_in_pixels_and_exact() -> None:
    data = saved(gradient(size=(40, 25)), "PNG")
    assert decode(data, max_pixels=1000).size == (40, 25)
    with pytest.raises(ImageTooLarge, match="more than 999 pixels"):
        decode(data, max_pixels=999)
    assert limits.MAX_PIXELS == Image.MAX_IMAGE_PIXELS


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
        "from model.errors import ImageTooLarge\n"
        "from model.imaging.images import decode\n"
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


@pytest.mark.timing
def test_a_jpeg_with_endless_scans_is_refused_before_it_is_decoded() -> None:
    data = jpeg_of_many_scans()
    start = time.process_time()
    with pytest.raises(ImageDecodeError):
        decode(data, max_pixels=MAX_PIXELS)
    assert time.process_time() - start < 0.5


def fuzzed(data: bytes, rng: random.Random) -> bytes:
    """The file with some bytes changed, most of them in its header, or truncated, or both."""
    damaged = bytearray(data)
    for _ in range(rng.choice((1, 2, 8, 30))):
        damaged[rng.randrange(min(len(damaged), rng.choice((400, len(damaged)))))] = rng.choice(
            (0, 127, 255, rng.randrange(256))
        )
    return bytes(damaged[: rng.randrange(len(damaged))] if rng.random() < 0.3 else damaged)


@pytest.mark.filterwarnings("ignore")  # Pillow warns about damaged metadata
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
