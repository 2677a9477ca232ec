"""PNG files without the chunks that do not change pixels, so that none of these is unpacked (PNG, third edition)."""

import zlib

from model.errors import ImageDecodeError

MAX_CHUNKS = 50_000
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_EMPTY_CHUNK_BYTES = 12  # length, type and checksum
_ANCILLARY = 0x20  # bit of the first letter of a chunk's type (section 5.4)
_TRANSPARENCY = b"tRNS"


def pixel_chunks(data: bytes) -> bytes:
    """The file with its critical chunks and its transparency only.

    Texts, colour profiles and the further frames of an animation are left out, whatever they are and whether or not
    they are damaged. The result depends on none of them. A file that is cut short stays cut short.

    Args:
        data: a PNG file, or the beginning of one.

    Raises:
        ImageDecodeError: the file has more than `MAX_CHUNKS`, or a chunk that is kept has a wrong checksum.
    """
    parts = [_SIGNATURE]
    place, kept, count = len(_SIGNATURE), len(_SIGNATURE), 0
    while place < len(data):
        kind = data[place + 4 : place + 8]
        end = place + int.from_bytes(data[place : place + 4], "big") + _EMPTY_CHUNK_BYTES
        is_needed = kind == _TRANSPARENCY or not kind[:1] or not kind[0] & _ANCILLARY
        if is_needed and end <= len(data) and not _is_intact(memoryview(data)[place + 4 : end]):
            raise ImageDecodeError("the PNG image is damaged: a chunk of its pixels has a wrong checksum")
        if not is_needed:
            parts.append(data[kept:place])
            kept = end
        place, count = end, count + 1
        if count > MAX_CHUNKS:
            raise ImageDecodeError(f"the PNG image has more than {MAX_CHUNKS:,} chunks; save it again with fewer")
        if kind == b"IEND":
            break
    parts.append(data[kept:place])
    return b"".join(parts)


def _is_intact(chunk: memoryview) -> bool:
    """Whether the checksum at the end of a chunk fits to its type and its data (section 5.3)."""
    return zlib.crc32(chunk[:-4]) == int.from_bytes(chunk[-4:], "big")
