"""Reader of the pixel data element: finds one frame, checks it against the header, decodes it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from pydicom.uid import UID, ExplicitVRLittleEndian, RLELossless

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.codestreams.costs import FileCost
from model.imaging.dicom.image_pixel import ImagePixel
from model.imaging.dicom.parsing import ParsedFile, PixelElement
from model.imaging.dicom.pixel_data import stored_values
from model.imaging.dicom.pixel_data.codestream import Codestream, read_codestream
from model.imaging.dicom.pixel_data.decoders import (
    decode_codestream,
    decode_native,
    unpack_bits,
)
from model.imaging.dicom.pixel_data.encapsulation import EncapsulatedFrames, fewer_frames, is_encapsulated
from model.imaging.dicom.pixel_data.run_lengths import decode_run_lengths
from model.imaging.limits import check_decoded_bytes, too_many_pixels
from model.imaging.windowing import Values

_MAX_PADDING = 15  # pixels that a JPEG encoder adds on the right or below, to fill blocks of up to 16x16 pixels
_MAX_SURPLUS_BITS = 16  # less than this fills the last byte, and makes the number of bytes even
_HEAD_BYTES = 12


@dataclass(frozen=True)
class Frame:
    """The stored values of one frame.

    Args:
        values: (H, W), of the type that the header says: unsigned, signed or floating point; or (H, W, 3) uint8, RGB.
        cells: all bits of the samples, unused ones included, of the shape of `values`, unsigned or floating point.
        is_lossy: whether compression may have changed the values.
    """

    values: Values
    cells: Values
    is_lossy: bool


class PixelData:
    """The pixel data of a file.

    Args:
        file: the parsed file.
        element: its pixel data element.
        image: its Image Pixel module.
        frame_count: the number of frames that the header announces.
        extended_offsets: the values of the Extended Offset Table; empty if there is none.
        max_pixels: limit for the size in a codestream.
    """

    def __init__(
        self,
        file: ParsedFile,
        element: PixelElement,
        image: ImagePixel,
        *,
        frame_count: int,
        extended_offsets: Sequence[int],
        max_pixels: int,
    ) -> None:
        self._file, self._syntax, self._element, self._image = file, file.syntax, element, image
        self._cost = FileCost()
        self._frame_count, self._extended_offsets, self._max_pixels = frame_count, extended_offsets, max_pixels

    def frame(self, index: int) -> Frame:
        """Decode one frame, counted from 0.

        Raises:
            ImageDecodeError: the frame is missing, damaged, cut short, or differs from the header.
            ImageFormatUnsupported: it is a variant that is not read.
            ImageTooLarge: its codestream has more pixels than the limit.
        """
        is_compressed = self._element.length is None
        if self._syntax.is_encapsulated and not is_compressed:
            raise ImageDecodeError(
                "the DICOM file contradicts itself: its transfer syntax is compressed, its pixel data is not"
            )
        if is_compressed and not self._syntax.is_encapsulated:
            raise _compressed_against_syntax()
        if not is_compressed:
            return self._native(index)
        frame = self._compressed_frames.codestream(index)
        if self._syntax == RLELossless:
            cells = decode_run_lengths(frame, self._image)
            return Frame(stored_values.from_header(cells, self._image), cells, is_lossy=False)
        return self._compressed(read_codestream(frame))

    @cached_property
    def _compressed_frames(self) -> EncapsulatedFrames:
        return EncapsulatedFrames(self._file.load(), self._element.start, self._frame_count, self._extended_offsets)

    @cached_property
    def _native_value(self) -> tuple[memoryview, UID]:
        """The bytes of uncompressed pixel data, and the transfer syntax that says their order.

        In a big endian file, VR OW swaps the bytes of 16-bit words, whatever the size of a sample (PS3.5 6.2 and 7.3).
        """
        start = self._element.start
        value = memoryview(self._file.load())[start : start + (self._element.length or 0)]
        if self._syntax.is_little_endian or self._element.vr != "OW":
            return value, self._syntax
        words = np.frombuffer(value[: len(value) // 2 * 2], dtype=np.uint16)
        return memoryview(words.byteswap().tobytes()), ExplicitVRLittleEndian

    def _native(self, index: int) -> Frame:
        image, (value, syntax) = self._image, self._native_value
        frame_bits = image.rows * image.columns * image.samples * image.bits_allocated
        if image.is_subsampled:
            if (self._element.length or 0) * 8 >= self._frame_count * frame_bits:
                image = replace(image, photometric="YBR_FULL")  # contains all colours, whatever its header says
            elif image.columns % 2:
                raise ImageFormatUnsupported("the DICOM file has an odd number of Columns, which YBR_422 cannot have")
            else:
                frame_bits = frame_bits * 2 // 3
        surplus_bits = len(value) * 8 - self._frame_count * frame_bits
        if not 0 <= surplus_bits < _MAX_SURPLUS_BITS and is_encapsulated(value[:_HEAD_BYTES].tobytes()):
            raise _compressed_against_syntax()
        if len(value) * 8 < (index + 1) * frame_bits:
            raise _cut_short(len(value) * 8 // frame_bits)
        if image.bits_allocated == 1:
            cells = unpack_bits(value, index * frame_bits, image)
        else:
            cells = decode_native(value, syntax, image, index=index, frame_count=self._frame_count)
        return Frame(stored_values.from_header(cells, image), cells, is_lossy=False)

    def _compressed(self, codestream: Codestream) -> Frame:
        image = self._image
        if codestream.rows * codestream.columns > self._max_pixels:
            raise too_many_pixels(self._max_pixels)
        check_decoded_bytes(codestream.decoded_bytes, self._max_pixels)
        self._cost.add(codestream.cost)
        if codestream.samples != image.samples:
            raise _contradiction("they differ in SamplesPerPixel")
        surplus = {"Rows": codestream.rows - image.rows, "Columns": codestream.columns - image.columns}
        most = _MAX_PADDING if codestream.kind == "JPEG" else 0
        different = [keyword for keyword, pixels in surplus.items() if not 0 <= pixels <= most]
        if different:
            is_swapped = (codestream.columns, codestream.rows) == (image.rows, image.columns)
            raise _contradiction(
                "Rows and Columns are swapped" if is_swapped else f"they differ in {' and '.join(different)}"
            )
        cells = decode_codestream(codestream, image)[: image.rows, : image.columns]
        return Frame(stored_values.from_codestream(cells, codestream, image), cells, codestream.is_lossy)


def _compressed_against_syntax() -> ImageDecodeError:
    return ImageDecodeError(
        "the DICOM file contradicts itself: its pixel data is compressed, its transfer syntax is not"
    )


def _contradiction(difference: str) -> ImageDecodeError:
    return ImageDecodeError(f"the header of the DICOM file contradicts its compressed frame: {difference}")


def _cut_short(whole_frames: int) -> ImageDecodeError:
    if whole_frames:
        return fewer_frames(whole_frames)
    return ImageDecodeError(
        "the pixel data of the DICOM file is cut short: it has fewer bytes than Rows, Columns, SamplesPerPixel and "
        "BitsAllocated say"
    )
