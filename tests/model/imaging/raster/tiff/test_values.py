"""How the samples of a TIFF become 8 bits: kinds that no library writes, or that Pillow reads wrongly."""

import io
import sys
from typing import Any

import imagecodecs
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.images import decode
from tests.support.image_files.raster import TiffPage, gradient, subsampled_jpeg_2000, tiff
from tests.support.samples import saved

MAX_PIXELS = 10_000_000
GREY = {256: 8, 257: 4, 277: 1, 278: 4, 259: 1, 262: 1}
COLOUR = {**GREY, 277: 3, 262: 2}


def written(values: NDArray[Any], **options: Any) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, values, metadata=None, **options)
    return stream.getvalue()


def pixels(data: bytes, mode: str | None = None) -> NDArray[np.int64]:
    image = decode(data, max_pixels=MAX_PIXELS)
    return np.asarray(image.convert(mode) if mode else image, dtype=np.int64)


def packed(values: NDArray[Any], bits: int) -> bytes:
    """Rows of samples without gaps; each row begins at a whole byte (TIFF 6.0, Compression)."""
    rows = (values[..., None] >> np.arange(bits)[::-1] & 1).reshape(values.shape[0], -1)
    return np.packbits(rows.astype(np.uint8), axis=1).tobytes()


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("photometric", [0, 1])
@pytest.mark.parametrize("bits", [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 17, 20, 23, 31])
def test_grey_of_any_depth_in_both_byte_orders(bits: int, photometric: int, big: bool, order: str) -> None:
    values = np.linspace(0, 2**bits - 1, 4 * 7).round().astype(np.int64).reshape(4, 7)
    tags = {**GREY, 256: 7, 258: bits, 262: photometric}
    right = np.rint(values * (255 / (2**bits - 1)))
    found = pixels(tiff([TiffPage(tags, [packed(values, bits)])], order=order, big=big), "L")
    assert np.abs(found - (right if photometric else 255 - right)).max() <= 1


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", ["u1", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8"])
def test_grey_whose_zero_is_white(kind: str, order: str) -> None:
    values = np.arange(32).reshape(4, 8) * 7 - (100 if kind[0] != "u" else 0)
    strip = values.astype(order + kind).tobytes()
    form = {"u": 1, "i": 2, "f": 3}[kind[0]]
    data = tiff([TiffPage({**GREY, 262: 0, 258: 8 * int(kind[1]), 339: form}, [strip])], order=order)
    right = values if kind == "u1" else np.rint((values - values.min()) * 255 / 217)
    assert np.abs(pixels(data) - (255 - right)).max() <= 1


@pytest.mark.parametrize(
    ("dtype", "values"),
    [
        ("u4", [2**32 - 256, 2**32 - 1]),  # above 2^31, and neighbours in float32
        ("i4", [-(2**31), -(2**31) + 255]),
        ("u8", [2**64 - 256, 2**64 - 1]),  # neighbours in float64, too
        ("i8", [-(2**63), -(2**63) + 255]),
    ],
)
def test_256_neighbouring_integers_stay_apart(dtype: str, values: list[int]) -> None:
    first = np.array(values[0], dtype=dtype)
    stored = (first + np.arange(256, dtype=dtype)).reshape(16, 16)
    assert pixels(written(stored)).ravel().tolist() == list(range(256))


@pytest.mark.parametrize(("planar", "order"), [("separate", "<"), ("separate", ">"), ("contig", "<"), ("contig", ">")])
@pytest.mark.parametrize("options", [{}, {"rowsperstrip": 3}, {"tile": (16, 16)}, {"compression": "lzw"}])
def test_rgb_of_16_bits_gives_its_upper_8_bits(planar: str, order: str, options: dict[str, Any]) -> None:
    values = np.random.default_rng(0).integers(0, 2**16, (20, 30, 3), dtype=np.uint16)
    stored = np.moveaxis(values, 2, 0) if planar == "separate" else values
    data = written(stored, photometric="rgb", planarconfig=planar, byteorder=order, **options)
    assert np.array_equal(pixels(data), values >> 8)


def test_rgb_of_floats_from_0_to_1_is_stretched_to_255_and_other_rgb_from_its_smallest_to_its_largest_value() -> None:
    shares = np.linspace(0.1, 0.9, 60).reshape(4, 5, 3)
    assert np.array_equal(pixels(written(shares.astype("f4"), photometric="rgb")), np.rint(shares * 255))
    for dtype in ("f8", "u4", "i2", "i4"):
        values = (shares * 1000).astype(dtype)
        low, high = values.min(), values.max()
        right = np.rint((values - low) * (255 / float(high - low)))
        assert np.abs(pixels(written(values, photometric="rgb")) - right).max() <= 1


def test_alpha_beside_deep_grey_is_dropped_and_the_grey_is_stretched() -> None:
    grey = np.arange(1000, 1256, dtype=np.uint16).reshape(16, 16)
    both = np.stack([grey, np.full_like(grey, 65535)], axis=-1)
    data = written(both, photometric="minisblack", planarconfig="contig", extrasamples=["unassalpha"])
    assert pixels(data).ravel().tolist() == list(range(256))


@pytest.mark.parametrize("alpha", [1, 2])
def test_alpha_beside_8_bit_grey_stays(alpha: int) -> None:
    strip = np.array([[100, 255]] * 32, dtype=np.uint8).tobytes()
    image = decode(tiff([TiffPage({**GREY, 258: [8, 8], 277: 2, 338: alpha}, [strip])]), max_pixels=MAX_PIXELS)
    assert (image.mode, image.convert("RGB").getpixel((0, 0))) == ("LA", (100, 100, 100))


@pytest.mark.parametrize("bits", [1, 2, 4, 8, 12, 16])
def test_indices_of_any_depth_take_their_colours_from_the_palette(bits: int) -> None:
    size = 2**bits
    colours = np.random.default_rng(0).integers(0, 2**16, (3, size))
    indices = np.arange(32).reshape(4, 8) % size
    strip = indices.astype("<u2").tobytes() if bits == 16 else packed(indices, bits)
    data = tiff([TiffPage({**GREY, 258: bits, 262: 3, 320: colours.ravel().tolist()}, [strip])])
    assert np.array_equal(pixels(data, "RGB"), (colours[:, indices] >> 8).transpose(1, 2, 0))


def test_a_palette_that_is_too_short_is_refused() -> None:
    with pytest.raises(ImageDecodeError, match="lacks its colour map, or has one that is too short"):
        pixels(tiff([TiffPage({**GREY, 258: 16, 262: 3, 320: [0] * 768}, [bytes(64)])]))


@pytest.mark.parametrize("has_tag", [True, False])
@pytest.mark.parametrize("order", ["<", ">"])
def test_uncompressed_ycbcr_with_fewer_colour_samples(order: str, has_tag: bool) -> None:
    """Section 21: units of 2 x 2 brightness samples, Cb and Cr."""
    units = b"".join(bytes([level] * 4 + [90, 240]) for level in (80, 80, 160, 160))
    tags = {**COLOUR, 256: 4, 258: [8, 8, 8], 262: 6, **({530: [2, 2]} if has_tag else {})}
    right = np.asarray(Image.new("YCbCr", (1, 1), (80, 90, 240)).convert("RGB"), dtype=int)
    found = pixels(tiff([TiffPage(tags, [units])], order=order))
    assert found.shape == (4, 4, 3)
    assert np.abs(found[0, 0] - right).max() <= 2


@pytest.mark.parametrize("compression", [33003, 33005])
def test_jpeg_2000_of_aperio(compression: int) -> None:
    colours = gradient(size=(32, 32))
    stored = colours.convert("YCbCr") if compression == 33003 else colours
    tile = bytes(imagecodecs.jpeg2k_encode(np.asarray(stored), codecformat="j2k", reversible=True, mct=False))
    tags = {256: 32, 257: 32, 258: [8, 8, 8], 259: compression, 262: 2, 277: 3, 322: 32, 323: 32}
    assert np.abs(pixels(tiff([TiffPage(tags, [tile])])) - np.asarray(colours, dtype=int)).max() <= 4


@pytest.mark.parametrize(("across", "down"), [(1, 1), (2, 1), (2, 2)])
def test_jpeg_2000_of_aperio_with_fewer_samples_of_colour(across: int, down: int) -> None:
    tile = subsampled_jpeg_2000(gradient(size=(32, 32)), across, down)
    tags = {256: 32, 257: 32, 258: [8, 8, 8], 259: 33003, 262: 2, 277: 3, 322: 32, 323: 32}
    tolerance = 4 if (across, down) == (1, 1) else 12
    assert np.abs(pixels(tiff([TiffPage(tags, [tile])])) - np.asarray(gradient(size=(32, 32)))).max() <= tolerance


def test_a_jpeg_of_12_bits_is_scaled() -> None:
    values = np.tile(np.linspace(0, 4095, 64).astype(np.uint16), (64, 1))
    data = written(values, compression="jpeg", compressionargs={"level": 100, "bitspersample": 12})
    right = np.rint((values - values.min()) * (255 / 4095))
    assert np.abs(pixels(data) - right).max() <= 2


def test_old_style_jpeg() -> None:
    """Section 22: the tags say where a whole JPEG lies."""
    jpeg = saved(gradient(), "JPEG", quality=95)
    tags = {256: 48, 257: 32, 258: [8, 8, 8], 259: 6, 262: 6, 277: 3, 278: 32, 512: 1, 513: 16, 514: len(jpeg)}
    for order in "<>":
        found = pixels(tiff([TiffPage({**tags, 530: [2, 2]}, [jpeg])], order=order, big=True))
        assert np.abs(found - np.asarray(gradient(), dtype=int)).max() < 12


@pytest.mark.parametrize("kind", ["u1", "u2", "f8"])
def test_the_orientation_is_applied_as_pillow_does(kind: str) -> None:
    values = np.arange(32).reshape(4, 8) * 8
    tags = {**GREY, 258: 8 * int(kind[1]), 339: 3 if kind == "f8" else 1}
    plain = pixels(tiff([TiffPage(tags, [values.astype("<" + kind).tobytes()])]))
    turned = pixels(tiff([TiffPage({**tags, 274: 6}, [values.astype("<" + kind).tobytes()])]))
    assert np.array_equal(turned, np.rot90(plain, -1))


@pytest.mark.parametrize(
    ("tags", "reason"),
    [
        ({259: 34934}, "has a compression that is not read: JPEG XR"),
        ({259: 50002}, "has a compression that is not read: JPEG XL"),  # whose header does not bound its frames
        ({259: 52546}, "has a compression that is not read: JPEG XL"),
        ({259: 60000}, "has a compression that is not read: with an unknown number"),
        ({258: 64, 339: 6}, "has complex numbers or an unknown sample format"),
        ({258: 24}, "has a combination of sample size and sample format that is not read"),
        ({258: 24, 339: 2}, "has a combination of sample size and sample format that is not read"),
        ({258: [5, 6, 5], 277: 3, 262: 2}, "has samples of different sizes in one pixel"),
        ({258: 16, 262: 32803}, "has a photometric interpretation that is not read"),
        ({258: 8, 259: 32773, 317: 2}, "has a predictor, which PackBits does not have"),
        ({258: 8, 32997: 2}, "has several slices in one page"),
    ],
)
def test_what_is_not_read_is_named(tags: dict[int, Any], reason: str) -> None:
    with pytest.raises(ImageFormatUnsupported, match=f"the TIFF image {reason}"):
        pixels(tiff([TiffPage({**GREY, **tags}, [bytes(512)])]))


@pytest.mark.parametrize(
    ("values", "options", "reason"),
    [
        (np.zeros((8, 8), "u4"), {"compression": "lzw"}, "the compression LZW"),
        (np.zeros((8, 8), "f8"), {"compression": "zlib"}, "the compression deflate"),
        (np.zeros((8, 8, 3), "u1"), {"compression": "jpeg2000", "photometric": "rgb"}, "the compression JPEG 2000"),
        (np.zeros((8, 8), "u2"), {"bitspersample": 10}, "samples of parts of bytes"),
    ],
)
def test_without_imagecodecs_the_extra_is_named(
    values: NDArray[Any], options: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = written(values, **options)
    assert pixels(data).max() == 0
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(
        ImageFormatUnsupported, match=rf"{reason}.* needs? medimageinsight-server\[tiff\] on the server"
    ):
        pixels(data)


@pytest.mark.parametrize(
    ("dtype", "options"),
    [
        ("u1", {"compression": "lzw"}),
        ("u2", {"compression": "lzw", "predictor": True}),
        ("u2", {"compression": "zlib", "byteorder": ">"}),
        ("i2", {"compression": "zlib"}),
        ("i4", {"compression": "packbits"}),
        ("f4", {"compression": "lzw", "predictor": True}),
        ("u4", {}),
        ("u8", {"byteorder": ">"}),
        ("f8", {"rowsperstrip": 3}),
        ("f2", {"tile": (16, 16)}),
    ],
)
def test_what_is_read_without_imagecodecs(dtype: str, options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.arange(256).reshape(16, 16).astype(dtype)
    data = written(values, **options)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    assert pixels(data).ravel().tolist() == list(range(256))
