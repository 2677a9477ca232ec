"""Stored values to greys and colours: photometric interpretation, padding, palettes, overlay bits."""

from typing import Any

import numpy as np
import pytest

from model.imaging.dicom.pixels import render_frame
from tests.support.image_files.dicom import ct, greys
from tests.support.image_files.dicom_elements import header, packed, words


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


@pytest.mark.parametrize("shape", [b"IDENTITY", b"INVERSE"])
def test_the_presentation_lut_shape_has_no_effect(shape: bytes) -> None:
    stored = np.array([[0, 255]], np.uint8)
    for photometric, expected in ((b"MONOCHROME2", [[0, 255]]), (b"MONOCHROME1", [[255, 0]])):
        dataset = header(PhotometricInterpretation=("CS", photometric), PresentationLUTShape=("CS", shape))
        assert render_frame(stored, dataset, None).tolist() == expected


def test_rgb_is_unchanged() -> None:
    rgb = np.array([[[1, 2, 3], [253, 254, 255]]], np.uint8)
    assert render_frame(rgb, header(PhotometricInterpretation=("CS", b"RGB")), None).tolist() == rgb.tolist()


PALETTE: dict[str, Any] = {
    f"{colour}PaletteColorLookupTable{part}": value
    for colour, entries in (("Red", [200, 0]), ("Green", [0, 200]), ("Blue", [100, 100]))
    for part, value in (("Descriptor", ("US", words([2, 1000, 8]))), ("Data", ("OW", packed(entries))))
}


def test_a_palette_gives_colours() -> None:
    dataset = header(PhotometricInterpretation=("CS", b"PALETTE COLOR"), **PALETTE)
    stored = np.array([[0, 1000, 1001, 65535]], np.uint16)
    assert render_frame(stored, dataset, None).tolist() == [
        [[200, 0, 100], [200, 0, 100], [0, 200, 100], [0, 200, 100]]
    ]


def test_a_supplemental_palette_colours_high_values_and_leaves_the_others_grey() -> None:
    mixed: dict[str, Any] = {
        "PhotometricInterpretation": ("CS", b"MONOCHROME2"),
        "PixelPresentation": ("CS", b"MIXED"),
    }
    stored = np.array([[0, 100, 200, 1000, 1001]], np.uint16)
    pixels = render_frame(stored, header(**mixed, **PALETTE), None)
    assert pixels.tolist() == [[[0, 0, 0], [128, 128, 128], [255, 255, 255], [200, 0, 100], [0, 200, 100]]]


def test_padding_beside_nothing_but_colours_is_black() -> None:
    mixed: dict[str, Any] = {
        "PhotometricInterpretation": ("CS", b"MONOCHROME2"),
        "PixelPresentation": ("CS", b"MIXED"),
        "PixelPaddingValue": ("US", b"\5\0"),
    }
    pixels = render_frame(np.array([[5, 1000]], np.uint16), header(**mixed, **PALETTE), None)
    assert pixels.tolist() == [[[0, 0, 0], [200, 0, 100]]]


def test_a_palette_beside_monochrome_pixels_has_no_effect_unless_it_is_supplemental() -> None:
    stored = np.array([[0, 1000]], np.uint16)
    assert render_frame(stored, header(PhotometricInterpretation=("CS", b"MONOCHROME2"), **PALETTE), None).shape == (
        1,
        2,
    )
