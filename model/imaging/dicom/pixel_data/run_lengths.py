"""Run-length encoded frames (PS3.5 annex G), expanded no further than the frame.

pydicom expands all runs of a segment before it compares their length: 10 MB give 640 MB.
"""

import numpy as np

from model.errors import ImageDecodeError
from model.imaging.dicom.image_pixel import ImagePixel
from model.imaging.dicom.pixel_data.decoders import unpack_bits
from model.imaging.windowing import Values

_HEADER_BYTES, _MAX_SEGMENTS = 64, 15
_LONGEST_LITERAL, _NOTHING = 127, 128  # values of the byte in front of a run
_BYTES_PER_VALUE = 2  # at most: a run of one value; more bytes would only be `_NOTHING`, one by one


def decode_run_lengths(frame: bytes, image: ImagePixel) -> Values:
    """A run-length encoded frame.

    Returns:
        (H, W) or (H, W, 3), all bits of the containers, unsigned.

    Raises:
        ImageDecodeError: it is damaged or cut short.
    """
    if image.bits_allocated == 1:
        packed_bytes = -(-image.rows * image.columns // 8)
        return unpack_bits(memoryview(_planes(frame, 1, packed_bytes).tobytes()), 0, image)
    sample_bytes = image.bits_allocated // 8
    planes = _planes(frame, image.samples * sample_bytes, image.rows * image.columns)
    # One plane for each byte of a sample, the highest one first (PS3.5 G.2).
    samples = planes.reshape(image.samples, sample_bytes, -1)
    values = np.ascontiguousarray(samples.transpose(2, 0, 1)).view(f">u{sample_bytes}")
    shape = (image.rows, image.columns, image.samples)[: 2 + (image.samples > 1)]
    return values.reshape(shape).astype(f"u{sample_bytes}", copy=False)


def _planes(frame: bytes, count: int, size: int) -> Values:
    """The expanded segments, (count, size) uint8."""
    header = np.frombuffer(frame[:_HEADER_BYTES].ljust(_HEADER_BYTES, b"\0"), "<u4").tolist()
    if header[0] != count or count > _MAX_SEGMENTS:
        raise _damaged()
    starts = [*header[1 : count + 1], len(frame)]
    planes = np.empty((count, size), np.uint8)
    for number in range(count):
        end = min(starts[number + 1], starts[number] + _BYTES_PER_VALUE * (size + 1))
        planes[number] = np.frombuffer(_expanded(frame[starts[number] : end], size), np.uint8)
    return planes


def _expanded(segment: bytes, size: int) -> bytearray:
    """The first `size` bytes of the runs of a segment (PS3.5 G.3.2)."""
    expanded, place = bytearray(), 0
    while len(expanded) < size:
        if place + 1 >= len(segment):
            raise _damaged()
        head = segment[place]
        if head <= _LONGEST_LITERAL:
            expanded += segment[place + 1 : place + 2 + head]
            place += 2 + head
        elif head == _NOTHING:
            place += 1
        else:
            expanded += segment[place + 1 : place + 2] * (257 - head)
            place += 2
    del expanded[size:]
    return expanded


def _damaged() -> ImageDecodeError:
    return ImageDecodeError("the pixel data of the DICOM file is damaged and cannot be decoded")
