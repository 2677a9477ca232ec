"""JPEG, JPEG 2000, WebP and AVIF in many variants, judged by imagecodecs' decoders."""

import itertools
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np
import pytest
from PIL import Image

from model.imaging.images import decode
from tests.support.image_files.raster import gradient
from tests.support.samples import saved

SIZES = ((48, 32), (33, 17), (8, 8))
VARIANTS: dict[str, list[dict[str, Any]]] = {
    "JPEG": [
        {"quality": quality, "subsampling": subsampling, "progressive": progressive}
        for quality, subsampling, progressive in itertools.product((30, 75, 95), (0, 1, 2), (False, True))
    ],
    "JPEG2000": [
        {"irreversible": irreversible, "quality_layers": [layers], "mct": mct}
        for irreversible, layers, mct in itertools.product((False, True), (0, 20), (0, 1))
    ],
    "WEBP": [
        {"quality": quality, "lossless": lossless} for quality, lossless in itertools.product((30, 90), (False, True))
    ],
    "AVIF": [
        {"quality": quality, "subsampling": sub} for quality, sub in itertools.product((50, 90), ("4:2:0", "4:4:4"))
    ],
}
DECODERS: dict[str, Callable[[bytes], Any]] = {
    "JPEG": imagecodecs.jpeg8_decode,
    "JPEG2000": imagecodecs.jpeg2k_decode,
    "WEBP": imagecodecs.webp_decode,
    "AVIF": imagecodecs.avif_decode,
}
# Grey levels. The converters of AVIF's YCbCr to RGB round differently; those of the others are the same library.
TOLERANCES = {"JPEG": 1, "JPEG2000": 1, "WEBP": 1, "AVIF": 3}


@pytest.mark.parametrize("kind", VARIANTS)
def test_every_variant_is_read_as_imagecodecs_does(kind: str, record_property: Callable[[str, object], None]) -> None:
    compared = 0
    modes = ("RGB",) if kind in ("AVIF", "WEBP") else ("RGB", "L")
    for options, size, mode in itertools.product(VARIANTS[kind], SIZES, modes):
        noise = Image.effect_noise(size, 40).convert(mode)
        for source in (gradient(mode, size), noise):
            data = saved(source, kind, **(options if mode == "RGB" or kind != "JPEG2000" else {**options, "mct": 0}))
            found = np.asarray(decode(data, max_pixels=10_000), dtype=np.int64)
            judged = np.asarray(DECODERS[kind](data), dtype=np.int64)
            assert np.abs(found - judged.reshape(found.shape)).max() <= TOLERANCES[kind], (options, size, mode)
            compared += 1
    record_property("counts", {"compared": compared, "equal": compared})
