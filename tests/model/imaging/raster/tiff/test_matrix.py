"""TIFF files that tifffile writes, in every combination, judged by the arrays that were encoded.

A lossy file is judged by tifffile's own decoding of it.
"""

import io
import itertools
import random
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.imaging.images import decode

pytestmark = pytest.mark.filterwarnings("ignore")
FILES = 1200
TYPES = ("u1", "u1", "u2", "u2", "u4", "u8", "i1", "i2", "i4", "i8", "f2", "f4", "f8")
SAMPLES = {"grey": 1, "grey and extra": 2, "RGB": 3, "RGB and extra": 4, "RGB planes": 3, "five planes": 5}
COMPRESSIONS = (
    None,
    None,
    "lzw",
    "zlib",
    "packbits",
    "zstd",
    "lzma",
    "jpeg",
    "jpeg2000",
    "webp",
    "lerc",
    "png",
)
LOSSLESS = {"jpeg2000": {"reversible": True}, "webp": {"lossless": True}}
# What must be refused, and why.
REFUSALS = (
    "a predictor, which LERC does not have",  # libtiff ignores it, tifffile does not: nothing tells which is right
    "a predictor, which PackBits does not have",
    "number of bits per sample that is not read in JPEG 2000",  # OpenJPEG returns other values from 25 bits on
)


@dataclass(frozen=True)
class Case:
    """One combination."""

    dtype: str
    samples: str
    compression: str | None
    bits: int
    options: tuple[tuple[str, Any], ...]

    @property
    def options_of(self) -> dict[str, Any]:
        return dict(self.options)


def case(chance: random.Random) -> Case:
    dtype, samples = chance.choice(TYPES), chance.choice(tuple(SAMPLES))
    size = 8 * np.dtype(dtype).itemsize
    bits = min(size, chance.choice((64, 64, 1, 2, 3, 4, 6, 7, 10, 12, 14, 23))) if dtype[0] == "u" else size
    compression = chance.choice(COMPRESSIONS)
    options: dict[str, Any] = {
        "photometric": chance.choice(("minisblack", "miniswhite")) if samples.startswith("grey") else "rgb",
        "byteorder": chance.choice("<>"),
        "bigtiff": chance.random() < 0.2,
        "compression": compression,
        "compressionargs": LOSSLESS.get(compression or ""),
        "predictor": chance.choice((None, None, True)),
        "planarconfig": "separate" if "planes" in samples else "contig",
        "extrasamples": ["unassalpha"] * (SAMPLES[samples] - 3 if SAMPLES[samples] > 2 else SAMPLES[samples] - 1),
        "tile": chance.choice((None, (16, 16), (32, 16))),
        "metadata": None,
    }
    if not options["tile"]:
        options["rowsperstrip"] = chance.choice((1, 7, 100))
    if bits != size:
        options["bitspersample"] = bits
    return Case(dtype, samples, compression, bits, tuple((key, value) for key, value in options.items() if value))


def is_written_rightly(tried: Case) -> bool:
    """tifffile swaps the bytes of big-endian packed samples and of those that it gives to OpenJPEG."""
    is_swapped = tried.options_of["byteorder"] == ">" and (tried.compression == "jpeg2000" or tried.bits % 8 > 0)
    is_odd_jpeg = tried.compression == "jpeg" and tried.bits != 8
    return not is_swapped and not is_odd_jpeg


def samples_of(tried: Case, chance: random.Random) -> NDArray[Any]:
    """(height, width, samples)"""
    numbers = np.random.default_rng(chance.getrandbits(32))
    height, width = chance.choice(((20, 33), (37, 40), (16, 16), (5, 3)))
    shape = (height, width, SAMPLES[tried.samples])
    kind = np.dtype(tried.dtype)
    if kind.kind == "f":
        return np.asarray((numbers.random(shape) - chance.choice((0, 0.5))) * chance.choice((1, 1000)), dtype=kind)
    limits = np.iinfo(kind)
    values = numbers.integers(limits.min, limits.max, shape, dtype=kind, endpoint=True)
    return values >> (8 * kind.itemsize - tried.bits)


def file_of(tried: Case, values: NDArray[Any]) -> bytes | None:
    """The file; None if tifffile does not write the combination."""
    stored = np.moveaxis(values, 2, 0) if "planes" in tried.samples else values
    if values.shape[2] == 1:
        stored = values[..., 0]
    stream = io.BytesIO()
    try:
        tifffile.imwrite(stream, stored, **tried.options_of)
    except (ValueError, RuntimeError, NotImplementedError, TypeError, KeyError):
        return None
    return stream.getvalue()


def scaled(values: NDArray[Any]) -> NDArray[np.int64]:
    exact = values.astype(np.longdouble)
    low, high = exact.min(), exact.max()
    return np.asarray(np.rint((exact - low) * 255 / (high - low)), dtype=np.int64)


def expected(tried: Case, values: NDArray[Any]) -> NDArray[np.int64]:
    """What docs/images.md says, written for few pixels."""
    is_grey = tried.samples.startswith("grey")
    values = values[..., 0] if is_grey else values[..., :3]
    is_unsigned = values.dtype.kind == "u"
    if is_unsigned and tried.bits <= 8:
        pixels = np.asarray(np.rint(values * (255 / (2**tried.bits - 1))), dtype=np.int64)
    elif is_unsigned and tried.bits <= 16 and not is_grey:
        pixels = values.astype(np.int64) >> (tried.bits - 8)
    elif values.dtype.kind == "f" and not is_grey and values.min() >= 0 and values.max() <= 1:
        pixels = np.asarray(np.rint(values.astype(np.float64) * 255), dtype=np.int64)
    else:
        pixels = scaled(values)
    return 255 - pixels if tried.options_of["photometric"] == "miniswhite" else pixels


def judge(tried: Case, values: NDArray[Any], data: bytes) -> str:
    """Return "equal", "refused", or what is wrong."""
    if tried.compression == "jpeg":
        read = tifffile.imread(io.BytesIO(data))
        read = read.reshape(values.shape) if "planes" not in tried.samples else np.moveaxis(read, 0, 2)
        values = read
    try:
        image = decode(data, max_pixels=10_000)
    except InvalidInput as error:
        return "refused" if any(reason in str(error) for reason in REFUSALS) else f"{tried}: {error}"
    right = expected(tried, values)
    pixels = np.asarray(image.convert("L" if right.ndim == 2 else "RGB"), dtype=np.int64)
    if pixels.shape == right.shape and np.abs(pixels - right).max() <= 1:
        return "equal"
    return f"{tried}: another picture"


def test_every_combination_gives_the_values_that_were_encoded(record_property: Callable[[str, object], None]) -> None:
    chance = random.Random(11)
    counts, wrong = Counter[str](), list[str]()
    for tried in itertools.islice(iter(lambda: case(chance), None), FILES):
        values = samples_of(tried, chance)
        data = file_of(tried, values) if is_written_rightly(tried) else None
        if data is None:
            continue
        result = judge(tried, values, data)
        counts["compared"] += 1
        counts[result if result in ("equal", "refused") else "wrong"] += 1
        if result not in ("equal", "refused"):
            wrong.append(result)
    record_property("counts", dict(counts))
    print(dict(counts))  # shown by pytest -rP
    assert not wrong
    assert counts["equal"] > 400
