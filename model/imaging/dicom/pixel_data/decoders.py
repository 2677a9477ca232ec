"""pydicom's decoders, called for one frame: bytes to samples as they were encoded."""

from dataclasses import replace
from typing import Any

import numpy as np
from pydicom.pixels import get_decoder
from pydicom.uid import JPEG2000, UID, JPEGLossless, JPEGLSLossless

from model.errors import ImageDecodeError
from model.imaging.codestreams import jpeg
from model.imaging.dicom.image_pixel import ImagePixel
from model.imaging.dicom.pixel_data.codestream import Codestream
from model.imaging.windowing import Values

# For each kind of codestream a transfer syntax that pydicom decodes with the plugin. Without a name, pydicom would try
# every installed plugin, and the picture would depend on what else is installed.
_PLUGINS = {
    "JPEG": (JPEGLossless, "pylibjpeg"),
    "JPEG-LS": (JPEGLSLossless, "pyjpegls"),
    "JPEG 2000": (JPEG2000, "pylibjpeg"),
}
_USED = frozenset({"pydicom", "pylibjpeg", "pyjpegls"})
_UNCHANGED = {"YBR_PARTIAL_422": "YBR_FULL_422"}  # pydicom knows only one name of this layout


def can_decode(syntax: UID) -> bool:
    """Whether pydicom and the plugins that are used here read a transfer syntax."""
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        return False
    return not syntax.is_encapsulated or bool(_USED.intersection(decoder.available_plugins))


def decode_native(value: memoryview, syntax: UID, image: ImagePixel, *, index: int, frame_count: int) -> Values:
    """Frame `index` of uncompressed pixel data of 8 bits or more.

    Returns:
        (H, W) or (H, W, 3), all bits of the containers, unsigned or floating point. Colours are not converted. It is a
        view of the value where that is possible.

    Raises:
        ImageDecodeError: pydicom cannot read it.
    """
    return _decode(value, syntax, image, "", index=index, number_of_frames=frame_count, view_only=True)


def decode_codestream(codestream: Codestream, image: ImagePixel) -> Values:
    """A JPEG, JPEG-LS or JPEG 2000 frame, as `decode_native`; JPEG 2000 has undone its component transform.

    A JPEG without its end marker is decoded twice, with two ends whose pictures differ if data is missing before them:
    the decoder fills what is missing silently.

    Raises:
        ImageDecodeError: the frame is damaged, or is a JPEG that is cut short.
    """
    syntax, plugin = _PLUGINS[codestream.kind]
    container = next(bits for bits in (8, 16, 32) if codestream.precision <= bits)
    image = replace(image, rows=codestream.rows, columns=codestream.columns, bits_allocated=container)
    data = codestream.data
    if codestream.kind != "JPEG" or jpeg.has_end(data):
        return _decode_frame(data, syntax, plugin, image)
    if jpeg.has_all_scans(data):
        plain, noisy = (_decode_frame(data + end, syntax, plugin, image) for end in jpeg.ENDS)
        if np.array_equal(plain, noisy):
            return plain
    raise ImageDecodeError("the compressed frame of the DICOM file is cut short; send the complete file")


def unpack_bits(value: memoryview, first_bit: int, image: ImagePixel) -> Values:
    """A frame of one bit per pixel, 0 and 1; frames follow each other without padding (PS3.5 8.1.1)."""
    pixels, start = image.rows * image.columns, first_bit // 8
    packed = np.frombuffer(value[start : -(-(first_bit + pixels) // 8)], dtype=np.uint8)
    bits = np.unpackbits(packed, bitorder="little")[first_bit - 8 * start :][:pixels]
    return bits.reshape(image.rows, image.columns)


def _decode_frame(frame: bytes, syntax: UID, plugin: str, image: ImagePixel) -> Values:
    offset_table, length = b"\xfe\xff\x00\xe0\0\0\0\0", len(frame).to_bytes(4, "little")
    encapsulated = offset_table + b"\xfe\xff\x00\xe0" + length + frame
    return _decode(encapsulated, syntax, replace(image, planar_configuration=0), plugin, index=0, number_of_frames=1)


def _decode(data: bytes | memoryview, syntax: UID, image: ImagePixel, plugin: str, **options: Any) -> Values:
    layout = _UNCHANGED.get(image.photometric, image.photometric)
    try:
        values, _ = get_decoder(syntax).as_array(
            data,
            raw=True,
            validate=False,
            decoding_plugin=plugin,
            pixel_keyword=image.keyword,
            rows=image.rows,
            columns=image.columns,
            samples_per_pixel=image.samples,
            photometric_interpretation=layout,
            planar_configuration=0 if image.is_subsampled else image.planar_configuration,
            bits_allocated=image.bits_allocated,
            bits_stored=image.bits_allocated,
            pixel_representation=0,
            **options,
        )
    except MemoryError:
        raise
    except Exception as error:  # the decoders raise almost anything for hostile bytes
        raise ImageDecodeError("the pixel data of the DICOM file is damaged and cannot be decoded") from error
    return np.asarray(values.astype(values.dtype.newbyteorder("="), copy=False))
