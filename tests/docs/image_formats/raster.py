"""Rows of PNG, JPEG, TIFF, BMP, GIF, WebP, JPEG 2000 and AVIF with up to 8 bits per sample."""

import struct
import zlib

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.images import check, decode, frame_count
from model.imaging.preprocessing import Standardization, preprocess
from tests.docs.image_formats.rows import MAX_PIXELS, grey, row, shown
from tests.support.image_files.bombs.codestreams import finely_coded, jpeg_of_scans
from tests.support.image_files.bombs.raster import chunk, with_chunks
from tests.support.image_files.bombs.tiff import pages, picture_tags
from tests.support.samples import picture, png, saved

LOSSLESS = {"PNG": {}, "TIFF": {}, "BMP": {}, "WEBP": {"lossless": True}, "JPEG2000": {}}


@row("8-bit grey, RGB")
def eight_bits_are_unchanged() -> None:
    for mode in ("L", "RGB"):
        image = picture(0).convert(mode)
        for kind, options in LOSSLESS.items():
            assert (shown(saved(image, kind, **options)) == np.asarray(image.convert("RGB"))).all(), kind
    two_bits = Image.fromarray(np.tile(np.arange(4, dtype=np.uint8), (4, 1))).convert("P")
    two_bits.putpalette([0, 0, 0, 85, 85, 85, 170, 170, 170, 255, 255, 255])
    assert grey(saved(two_bits, "PNG", bits=2))[0].tolist() == [0, 85, 170, 255]


@row("1-bit, palette, CMYK, grey or RGB with alpha")
def other_modes_are_standardised_first() -> None:
    for mode, kind in (("1", "PNG"), ("P", "PNG"), ("CMYK", "TIFF"), ("LA", "PNG"), ("RGBA", "PNG")):
        image = picture(0).convert(mode)
        decoded = decode(saved(image, kind), max_pixels=MAX_PIXELS)
        assert decoded.mode == mode
        assert (shown(saved(image, kind)) == np.asarray(image.convert("RGB"))).all(), mode
        # The endpoint's first step resizes in the image's own mode; converting to RGB comes after it.
        assert preprocess(decoded, (8, 8), Standardization()).shape == (8, 8, 3)


@row("TIFF with several pages")
def a_page_is_chosen() -> None:
    images = [Image.new("L", (8, 8), level) for level in (10, 20, 30)]
    data = saved(images[0], "TIFF", save_all=True, append_images=images[1:])
    assert frame_count(data, max_pixels=MAX_PIXELS) == len(images)
    assert [int(grey(data, frame=frame)[0, 0]) for frame in (None, 0, 1, 2)] == [10, 10, 20, 30]
    assert frame_count(pages(50_000, picture_tags()), max_pixels=MAX_PIXELS) == 50_000
    with pytest.raises(ImageDecodeError, match="50,000 pages"):
        frame_count(pages(50_001, picture_tags()), max_pixels=MAX_PIXELS)


@row("JPEG without its end marker, or with up to 128 bytes before it")
def a_jpeg_needs_only_its_data() -> None:
    whole = saved(picture(0), "JPEG")
    assert whole[-2:] == b"\xff\xd9"
    for data in (whole[:-2], b"\r\n" + whole, bytes(128) + whole):
        assert (shown(data) == shown(whole)).all()
    with pytest.raises(ImageDecodeError, match="cut short"):
        shown(whole[: len(whole) // 2])


@row("JPEG that lacks data but has its end marker")
def missing_data_is_grey() -> None:
    whole = saved(picture(0), "JPEG")
    assert (shown(whole[: len(whole) // 2] + b"\xff\xd9")[-1] == 128).all()


@row("JPEG with a film, further pictures or other bytes behind its end")
def what_is_behind_a_jpeg_is_ignored() -> None:
    first = saved(picture(0), "JPEG")
    for behind in (saved(picture(1), "JPEG"), b"\xff\xda" * 200, bytes(1000)):
        assert (shown(first + behind) == shown(first)).all()


@row("JPEG of four colours, lossless or of more than 8 bits; JPEG 2000 in CMYK of over 8 bits, CIELab, YCCK or CMY")
def deep_ink_is_refused() -> None:
    ink = np.zeros((16, 16, 4), np.uint16)
    lab = bytearray(saved(picture(0), "JPEG2000"))
    struct.pack_into(">I", lab, lab.index(b"colr") + 7, 14)
    for data in (
        imagecodecs.jpeg8_encode(ink.astype(np.uint8), lossless=True),
        imagecodecs.jpeg8_encode(ink, level=90, bitspersample=12),
        imagecodecs.jpeg2k_encode(ink, colorspace="CMYK", codecformat="jp2", reversible=True, mct=False),
        lab,
    ):
        with pytest.raises(ImageFormatUnsupported, match="colours"):
            shown(bytes(data))


@row("JPEG of very many scans")
def a_costly_jpeg_is_refused() -> None:
    for data in (jpeg_of_scans(101, 16), jpeg_of_scans(17, 8000)):
        with pytest.raises(ImageDecodeError, match="more than 100 scans, or too many for its size"):
            check(data, max_pixels=64_000_000)
    check(jpeg_of_scans(16, 8000), max_pixels=64_000_000)


@row("JPEG 2000 that lacks a tile")
def an_incomplete_jpeg_2000_is_refused() -> None:
    tiled = saved(picture(0).resize((64, 64)), "JPEG2000", tile_size=(32, 32), no_jp2=True)
    second, third = (tiled.index(struct.pack(">HHH", 0xFF90, 10, number)) for number in (1, 2))
    with pytest.raises(ImageDecodeError, match="lacks some of its tiles"):
        shown(tiled[:second] + tiled[third:])


@row("JPEG 2000 of very many parts")
def a_costly_jpeg_2000_is_refused() -> None:
    for data in (finely_coded(4000, block=0), finely_coded(4000, precinct=1)):
        with pytest.raises(ImageTooLarge, match="4,096 tiles, 524,288 code blocks or 2,097,152 packets"):
            check(data, max_pixels=64_000_000)


@row("PNG with texts, profiles or damage in chunks without pixels")
def other_chunks_are_ignored() -> None:
    text = chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(3_000_000)))
    profile = chunk(b"iCCP", b"a\0\0" + zlib.compress(bytes(3_000_000)))
    for extra in (text, profile, chunk(b"iCCP", b"no profile"), chunk(b"tEXt", b"a\0b")[:-1] + b"?"):
        assert (shown(with_chunks(extra)) == shown(png())).all()


@row("GIF, WebP, PNG, AVIF or MPO with several frames")
def only_the_first_frame_is_read() -> None:
    frames = [Image.new("L", (8, 8), level) for level in (10, 200)]
    for kind in ("GIF", "WEBP", "PNG", "AVIF", "MPO"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = saved(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert frame_count(data, max_pixels=MAX_PIXELS) == 1
        assert np.abs(grey(data).astype(int) - 10).max() <= 2, kind


@row("any image with an EXIF rotation")
def pixels_are_not_rotated() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # Orientation: rotate by 90 degrees
    image = picture(0, (12, 8))
    assert (shown(saved(image, "PNG", exif=exif)) == np.asarray(image)).all()
    assert shown(saved(image, "JPEG", exif=exif)).shape == (8, 12, 3)
    assert (shown(saved(image, "TIFF", tiffinfo={274: 6})) == np.rot90(np.asarray(image), -1)).all()
