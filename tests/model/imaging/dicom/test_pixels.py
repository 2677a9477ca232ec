"""Stored values to greys: photometric interpretation, padding, overlay bits."""

import numpy as np

from tests.support.image_files.dicom import ct, greys


def test_monochrome1_is_inverted_and_padding_is_black() -> None:
    values = np.array([[-2000, -1000, 0, 1000]], dtype=np.int16)
    padded = {"PixelPaddingValue": -2000, "WindowCenter": 0.5, "WindowWidth": 2001}
    assert greys(ct(values, **padded)) == [[0, 0, 128, 255]]
    assert greys(ct(values, PhotometricInterpretation="MONOCHROME1", **padded)) == [[0, 255, 127, 0]]


def test_the_percentiles_ignore_padding() -> None:
    values = np.repeat(np.array([[-2000, -1999, 0, 100]], dtype=np.int16), 50, axis=0)
    data = ct(values, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1999)
    assert greys(data)[0] == [0, 0, 0, 255]


def test_bits_above_the_stored_bits_are_ignored() -> None:
    stored = np.array([[0x0000, 0x1FFF, 0xF000]], dtype=np.uint16)
    data = ct(stored, BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=4096)
    assert greys(data) == [[0, 255, 0]]
