"""Run-length encoded frames (PS3.5 annex G)."""

import struct

import numpy as np
import pytest
from pydicom.pixels import get_encoder
from pydicom.uid import RLELossless

from model.errors import ImageDecodeError
from model.imaging.dicom.image_pixel import ImagePixel
from model.imaging.dicom.pixel_data.run_lengths import decode_run_lengths


def image(bits: int = 8, samples: int = 1, rows: int = 3, columns: int = 5) -> ImagePixel:
    colours = "RGB" if samples == 3 else "MONOCHROME2"
    return ImagePixel("PixelData", rows, columns, samples, colours, 0, bits, bits, 0, is_signed=False)


def frame(*segments: bytes) -> bytes:
    starts = [64 + sum(map(len, segments[:number])) for number in range(len(segments))]
    return struct.pack("<16I", len(segments), *starts, *[0] * (15 - len(segments))) + b"".join(segments)


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("bits", [8, 16])
def test_what_pydicom_encodes_is_read(bits: int, samples: int) -> None:
    shape = (20, 30, samples)[: 2 + (samples > 1)]
    values = np.random.default_rng(0).integers(0, 2**bits, shape, dtype=f"u{bits // 8}")
    values[5:15] = 7
    encoded = get_encoder(RLELossless).encode(
        values.tobytes(), encoding_plugin="pydicom", rows=20, columns=30, samples_per_pixel=samples,
        photometric_interpretation="RGB" if samples == 3 else "MONOCHROME2", planar_configuration=0,
        bits_allocated=bits, bits_stored=bits, pixel_representation=0, number_of_frames=1,
    )  # fmt: skip
    found = decode_run_lengths(encoded, image(bits, samples, 20, 30))
    assert found.dtype == values.dtype
    assert np.array_equal(found, values)


def test_literals_runs_and_bytes_that_stand_for_nothing() -> None:
    found = decode_run_lengths(frame(b"\x01\x05\x06\x80\xf4\x07"), image())
    assert found.ravel().tolist() == [5, 6, *[7] * 13]


@pytest.mark.parametrize("surplus", [b"", b"\0", b"\x81\x09" * 1000, b"\x7f"])
def test_what_follows_the_last_pixel_is_left_out(surplus: bytes) -> None:
    assert decode_run_lengths(frame(b"\xf2\x07" + surplus), image()).ravel().tolist() == [7] * 15


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(64),
        frame(),
        frame(b""),
        frame(b"\xf3\x07"),
        frame(b"\x0e" + bytes(10)),
        frame(b"\x80" * 100),
        frame(b"\x80" * 1000 + b"\xf2\x07"),  # every byte would be visited
        frame(b"\xf2\x07", b"\xf2\x07"),
        struct.pack("<16I", 1, 0xFFFF_FFFF, *[0] * 14),
    ],
)
def test_a_frame_that_is_damaged_or_cut_short_is_refused(data: bytes) -> None:
    with pytest.raises(ImageDecodeError, match="the pixel data of the DICOM file is damaged"):
        decode_run_lengths(data, image())
