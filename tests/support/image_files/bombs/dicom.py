"""DICOM files whose headers or pixel data are expensive to read: deep, many, or larger than they look."""

import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
from pydicom.encaps import encapsulate
from pydicom.uid import JPEG2000Lossless, JPEGBaseline8Bit, RLELossless

from tests.support.image_files.bombs.codestreams import (
    black_codestream,
    codestream_of_layers,
    finely_coded,
    jpeg_claiming,
    jpeg_of_many_scans,
    many_components,
    many_tiles,
)
from tests.support.image_files.bombs.raster import lying_jp2
from tests.support.image_files.dicom import ct

SMALL = np.zeros((8, 8), np.uint8)
UNDEFINED = 0xFFFFFFFF
DEFLATED = b"UI\x16\x001.2.840.10008.1.2.1.99"
IMPLICIT = b"UI\x12\x001.2.840.10008.1.2\0"
EXPLICIT = b"UI\x14\x001.2.840.10008.1.2.1\0"
PRIVATE, PATIENT_NAME, PIXEL_DATA = 0x0009_1010, b"\x10\0\x10\0PN", b"\xe0\x7f\x10\0"
ITEM, ITEM_END, SEQUENCE_END = 0xFFFE_E000, 0xFFFE_E00D, 0xFFFE_E0DD
VOI_LUTS, MODALITY_LUTS, SHARED_GROUPS, FRAME_GROUPS = 0x0028_3010, 0x0028_3000, 0x5200_9229, 0x5200_9230
VOI_GROUP, RESCALE_GROUP = 0x0028_9132, 0x0028_9145


def tag(number: int) -> bytes:
    return struct.pack("<HH", number >> 16, number & 0xFFFF)


def item(length: int, number: int = ITEM) -> bytes:
    return tag(number) + struct.pack("<I", length)


def sequence(number: int, length: int, vr: bytes = b"SQ") -> bytes:
    return tag(number) + vr + b"\0\0" + struct.pack("<I", length)


def element(number: int, vr: bytes, value: bytes) -> bytes:
    """An element with explicit VR, little endian."""
    is_long = vr in (b"OB", b"OW", b"SQ", b"UN", b"UT")
    return tag(number) + vr + (struct.pack("<HI", 0, len(value)) if is_long else struct.pack("<H", len(value))) + value


def with_elements(extra: bytes, **elements: object) -> bytes:
    """A small file with further elements in front of the patient's name."""
    whole = ct(SMALL, **elements)
    place = whole.index(PATIENT_NAME)
    return whole[:place] + extra + whole[place:]


def sequence_of(number: int, *items: bytes) -> bytes:
    """A sequence of defined length with the given encoded items."""
    value = b"".join(items)
    return sequence(number, len(value)) + value


def many_elements(count: int) -> bytes:
    """Empty private elements."""
    return b"".join(element(0x0029_1000 + 0x2_0000 * (n // 60_000) + n % 60_000, b"LO", b"") for n in range(count))


def with_groups(extra: bytes, photometric: str = "MONOCHROME2", frames: int = 1) -> bytes:
    """A small file with further elements of group 0028 or 5200 in front of its pixel data."""
    pixels = SMALL if frames == 1 else np.zeros((frames, 1, 1), np.uint8)
    whole = ct(pixels, PhotometricInterpretation=photometric)
    place = whole.rindex(PIXEL_DATA)
    return whole[:place] + extra + whole[place:]


def nested(levels: int, number: int = PRIVATE, vr: bytes = b"SQ") -> bytes:
    """Sequences of undefined length inside each other; those inside UN have implicit VR (PS3.5 6.2.2)."""
    opening = sequence(number, UNDEFINED, vr) + item(UNDEFINED)
    inner = opening if vr == b"SQ" else tag(number) + struct.pack("<I", UNDEFINED) + item(UNDEFINED)
    closing = item(0, ITEM_END) + item(0, SEQUENCE_END)
    return opening + inner * (levels - 1) + closing * levels


def nested_with_lengths(levels: int, number: int = PRIVATE) -> bytes:
    """Sequences of defined length inside each other."""
    lengths = [20 * level for level in range(levels)]
    return b"".join(sequence(number, length + 8) + item(length) for length in reversed(lengths))


def implicit(extra: bytes) -> bytes:
    """A file of implicit VR that begins with further elements and has no picture behind them."""
    head = ct(SMALL).split(b"\x08\0\x16\0UI")[0].replace(EXPLICIT, IMPLICIT)
    return head + extra


def deflated(data_set: bytes) -> bytes:
    """A file in the deflated transfer syntax: everything behind the file meta information is compressed."""
    head = ct(SMALL).split(b"\x08\0\x16\0UI")[0].replace(EXPLICIT, DEFLATED)
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    return head + packer.compress(data_set) + packer.flush()


def data_set(extra: bytes = b"", **elements: Any) -> bytes:
    """The data set of a small file, with further elements."""
    return b"\x08\0\x16\0UI" + with_elements(extra, **elements).split(b"\x08\0\x16\0UI", 1)[1]


def with_fragments(fragments: bytes, offsets: bytes = b"", frames: int = 1) -> bytes:
    """A JPEG file whose pixel data consists of the given encoded items."""
    whole = ct(SMALL, TransferSyntaxUID=JPEGBaseline8Bit, NumberOfFrames=frames, PixelData=encapsulate([b"\0\0"]))
    head = whole[: whole.rindex(PIXEL_DATA)]
    pixels = sequence(0x7FE0_0010, UNDEFINED, b"OB") + item(len(offsets)) + offsets + fragments + item(0, SEQUENCE_END)
    return head + pixels


def with_codestreams(frame: bytes, frames: int, syntax: str = JPEG2000Lossless, side: int = 8000, **more: Any) -> bytes:
    """A file of compressed frames that are all the same."""
    elements = {"TransferSyntaxUID": syntax, "NumberOfFrames": frames, "Rows": side, "Columns": side, **more}
    return ct(SMALL, **elements, PixelData=encapsulate([frame] * frames))


def run_lengths(size: int, side: int) -> bytes:
    """A file of one run-length encoded frame of `size` bytes, which expand to 64 times as many (PS3.5 G.3.2)."""
    return with_codestreams(struct.pack("<16I", 1, 64, *[0] * 14) + b"\x81\0" * (size // 2), 1, RLELossless, side)


def deflated_pixels(size: int, **elements: Any) -> bytes:
    """A deflated file whose pixel data has `size` zeros."""
    whole = data_set(**elements)
    return deflated(whole[: whole.rindex(PIXEL_DATA)] + element(0x7FE0_0010, b"OW", bytes(size)))


def defined(elements: bytes) -> bytes:
    """An item of defined length."""
    return item(len(elements)) + elements


def undefined(elements: bytes) -> bytes:
    """An item of undefined length."""
    return item(UNDEFINED) + elements + item(0, ITEM_END)


def with_frame_items(one: bytes) -> bytes:
    """A file of a thousand frames whose items of functional groups are all the same."""
    return with_groups(sequence_of(FRAME_GROUPS, one * 1000), frames=1000)


def with_many_shared(*numbers: int) -> bytes:
    """A file of a thousand frames with 95,000 elements in each of some sequences, which all frames share."""
    many = defined(many_elements(95_000))
    tables = b"".join(sequence_of(number, many) for number in numbers if number in (VOI_LUTS, MODALITY_LUTS))
    groups = b"".join(sequence_of(number, many) for number in numbers if number in (VOI_GROUP, RESCALE_GROUP))
    return with_groups(tables + sequence_of(SHARED_GROUPS, defined(groups)), frames=1000)


def segmented_palette(data: bytes, frames: int = 1) -> bytes:
    """A palette file whose three tables are made of segments (PS3.3 C.7.9.2)."""
    tables = b"".join(element(0x0028_1101 + colour, b"US", struct.pack("<HHH", 0, 0, 16)) for colour in range(3))
    tables += b"".join(element(0x0028_1221 + colour, b"OW", data) for colour in range(3))
    return with_groups(tables, "PALETTE COLOR", frames)


LINEAR_SEGMENTS = struct.pack("<HHH", 1, 65535, 1) * 100_000
# The first segment of each block copies the block before it: 16 blocks stand for 2**16 segments.
INDIRECT_SEGMENTS = struct.pack("<HHH", 1, 65535, 1) + b"".join(
    struct.pack("<HHHH", 2, 2 * level + 1, 0, 0) for level in range(500)
)

DICOM_BOMBS: dict[str, Callable[[], bytes]] = {
    "4 billion pixels": lambda: ct(SMALL, Rows=65535, Columns=65535),
    "2 billion frames": lambda: ct(SMALL, NumberOfFrames=2**31 - 1),
    "a million frames in the header": lambda: ct(SMALL, NumberOfFrames=1_000_000),
    "deflated 200 MB of zeros": lambda: deflated(bytes(200_000_000)),
    "deflated 200 MB in a private element": lambda: deflated(data_set(element(PRIVATE, b"UN", bytes(200_000_000)))),
    "deflated millions of elements": lambda: deflated(data_set(element(PRIVATE, b"LO", b"") * 8_000_000)),
    "deflated deep nesting": lambda: deflated(data_set(nested(1_000_000))),
    "deep nesting": lambda: with_elements(nested(100_000)),
    "deep nesting of defined length": lambda: with_elements(nested_with_lengths(100_000)),
    "deep nesting in an unknown element": lambda: with_elements(nested(100_000, vr=b"UN")),
    "deep nesting without an end": lambda: with_elements(nested(100_000)[: 20 * 100_000]),
    "deep nesting in the VOI LUTs": lambda: with_groups(nested(20_000, VOI_LUTS)),
    "deep nesting in the functional groups": lambda: with_groups(nested(20_000, FRAME_GROUPS)),
    "deep nesting of defined length in the functional groups": lambda: with_groups(
        nested_with_lengths(20_000, FRAME_GROUPS)
    ),
    "half a million elements": lambda: with_elements(
        b"".join(element(0x0009_0000 + number, b"LO", b"") for number in range(0x1000, 0xFFFF)) * 8
    ),
    "half a million elements of implicit VR": lambda: implicit((tag(PRIVATE) + bytes(4)) * 500_000),
    "half a million elements in one item": lambda: with_groups(
        sequence(FRAME_GROUPS, 4_000_008) + item(4_000_000) + element(PRIVATE, b"LO", b"") * 500_000
    ),
    "half a million private items": lambda: with_elements(sequence(PRIVATE, 4_000_000) + item(0) * 500_000),
    "half a million VOI LUTs": lambda: with_groups(sequence(VOI_LUTS, 4_000_000) + item(0) * 500_000),
    "half a million functional groups": lambda: with_groups(sequence(FRAME_GROUPS, 4_000_000) + item(0) * 500_000),
    "a thousand frames with items of undefined length": lambda: with_frame_items(undefined(many_elements(60))),
    "a thousand frames with deep items": lambda: with_frame_items(undefined(nested(60))),
    "a thousand frames with 400 elements each": lambda: with_frame_items(defined(many_elements(400))),
    "a thousand frames with a VOI LUT of 400 elements each": lambda: with_frame_items(
        defined(sequence_of(VOI_GROUP, defined(sequence_of(VOI_LUTS, defined(many_elements(400))))))
    ),
    "a thousand frames that share 95,000 elements": lambda: with_many_shared(VOI_GROUP),
    "a thousand frames that share a LUT of 95,000 elements": lambda: with_many_shared(VOI_LUTS),
    "a thousand frames that share LUTs and groups of 95,000 elements": lambda: with_many_shared(
        VOI_LUTS, MODALITY_LUTS, VOI_GROUP, RESCALE_GROUP
    ),
    "half a million empty fragments": lambda: with_fragments(item(0) * 500_000),
    "half a million fragments for as many frames": lambda: with_fragments(item(0) * 500_000, frames=500_000),
    "an offset table of a million zeros": lambda: with_fragments(
        item(2) + b"\xff\xd8", bytes(4_000_000), frames=1_000_000
    ),
    "an offset table of 4 GB": lambda: with_fragments(b"", frames=3).replace(item(0), item(UNDEFINED - 1), 1),
    "a thousand frames of one palette of 65,536 segments": lambda: segmented_palette(
        struct.pack("<HHH", 0, 1, 5) * 65_536, frames=1000
    ),
    "a segmented palette of billions of entries": lambda: segmented_palette(LINEAR_SEGMENTS),
    "a segmented palette that copies itself": lambda: segmented_palette(INDIRECT_SEGMENTS),
    "a window of a million values": lambda: implicit(
        tag(0x0028_1050) + struct.pack("<I", 2_000_000) + b"1\\" * 1_000_000
    ),
    "a number of frames of 60,000 digits": lambda: with_groups(element(0x0028_0008, b"IS", b"9" * 60_000)),
    "a slope of 60,000 digits": lambda: with_groups(element(0x0028_1053, b"DS", b"9" * 60_000)),
    "a JPEG of endless scans": lambda: with_codestreams(jpeg_of_many_scans(), 1, JPEGBaseline8Bit, 2000),
    "an RLE frame of many segments": lambda: ct(
        SMALL, TransferSyntaxUID=RLELossless, PixelData=encapsulate([struct.pack("<16I", 0xFFFF_FFFF, *[64] * 15)])
    ),
    "a deflated sequence of a million items": lambda: deflated(
        data_set(sequence(PRIVATE, 8_000_000) + item(0) * 1_000_000)
    ),
    "4 MB of runs": lambda: run_lengths(4_000_000, 8000),
    "4 MB of runs in a frame of 4 x 4": lambda: run_lengths(4_000_000, 4),
    "a JP2 frame whose box says another size": lambda: with_codestreams(lying_jp2(12_000, 8), 1, side=8),
    "64 million pixels of JPEG in colour": lambda: with_codestreams(
        jpeg_claiming(8000), 1, JPEGBaseline8Bit, SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL_422"
    ),
    "deflated 64 million pixels of YBR": lambda: deflated_pixels(
        3 * 64_000_000, Rows=8000, Columns=8000, SamplesPerPixel=3, PhotometricInterpretation="YBR_FULL"
    ),
    "a thousand frames of a million packets": lambda: with_codestreams(codestream_of_layers(4000), 1000, side=16),
    "three JPEG 2000 frames of 64 million pixels": lambda: with_codestreams(black_codestream(8000), 3),
    "a JPEG 2000 frame of 65,000 tiles": lambda: with_codestreams(many_tiles(255), 1, side=255),
    "a JPEG 2000 frame of a million code blocks": lambda: with_codestreams(finely_coded(4000, block=0), 1, side=4000),
    "a JPEG 2000 frame of 5 million precincts": lambda: with_codestreams(finely_coded(4000, precinct=1), 1, side=4000),
    "a JPEG 2000 frame of 16,384 components": lambda: with_codestreams(many_components(16384), 1, side=8),
    "a JPEG 2000 frame of 4 billion pixels": lambda: with_codestreams(
        black_codestream(8).replace(struct.pack(">II", 8, 8), struct.pack(">II", 65535, 65535), 1), 1, side=8
    ),
}
