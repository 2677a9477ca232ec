"""Small files and documents that claim or unpack to a huge size."""

import bz2
import gzip
import json
import zlib

import nibabel
import numpy as np

from tests.support.image_files.dicom import ct
from tests.support.image_files.volumes import nrrd
from tests.support.samples import encoded, huge_png, picture, png, saved, table


def chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def with_chunk(extra: bytes) -> bytes:
    """A small PNG with another chunk after its header."""
    whole = png()
    return whole[:33] + extra + whole[33:]


def sized(data: bytes, start: int, size: bytes) -> bytes:
    return data[:start] + size + data[start + len(size) :]


def with_tags(tiff: bytes, values: dict[int, int]) -> bytes:
    """A little-endian TIFF with other values of tags that hold one number."""
    changed = bytearray(tiff)
    start = int.from_bytes(tiff[4:8], "little")
    for entry in range(start + 2, start + 2 + 12 * int.from_bytes(tiff[start : start + 2], "little"), 12):
        tag = int.from_bytes(tiff[entry : entry + 2], "little")
        if tag in values:
            changed[entry + 2 : entry + 12] = b"\x04\0\x01\0\0\0" + values[tag].to_bytes(4, "little")
    assert changed != tiff
    return bytes(changed)


FRAMES = [picture(seed, (4, 4)).convert("P") for seed in (1, 2)]
SMALL_GIF, SMALL_BMP, SMALL_TIFF, SMALL_JP2 = (saved(picture(0), kind) for kind in ("GIF", "BMP", "TIFF", "JPEG2000"))
VOLUME = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)).to_bytes()
ZEROS = zlib.compress(bytes(200_000_000), 9)
BOMBS = {
    "a PNG of 900 million pixels": huge_png(),
    "a PNG whose text unpacks to 200 MB": with_chunk(chunk(b"zTXt", b"a\0\0" + ZEROS)),
    "a PNG whose colour profile unpacks to 200 MB": with_chunk(chunk(b"iCCP", b"a\0\0" + ZEROS)),
    "a GIF of 4 billion pixels": sized(SMALL_GIF, 6, b"\xff\xff\xff\xff"),
    "a BMP of 4 billion pixels": sized(SMALL_BMP, 18, b"\xff\xff\x00\x00\xff\xff\x00\x00"),
    "a TIFF of 4 billion pixels": with_tags(SMALL_TIFF, {256: 65535, 257: 65535}),
    "a WebP of 268 million pixels": b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2 + b"VP8 \0\0\0\0",
    "a JPEG 2000 of 4 billion pixels": sized(SMALL_JP2, SMALL_JP2.index(b"ihdr") + 4, b"\0\0\xff\xff\0\0\xff\xff"),
    "a DICOM file of 4 billion pixels": ct(np.zeros((2, 2), np.uint8), Rows=65535, Columns=65535),
    "a DICOM file of 2 billion frames": ct(np.zeros((2, 2), np.uint8), NumberOfFrames=2**31 - 1),
    "a DICOM file that unpacks to 200 MB": ct(np.zeros((2, 2), np.uint8)).replace(
        b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.1.99"
    )
    + ZEROS[2:],
    "a NIfTI volume of 27 trillion voxels": VOLUME[:40]
    + np.array([3, 30000, 30000, 30000], "<i2").tobytes()
    + VOLUME[48:],
    "an NRRD volume of 27 trillion voxels": nrrd(sizes="30000 30000 30000"),
    "an NRRD volume that unpacks to 200 MB": nrrd(payload=gzip.compress(bytes(200_000_000)), encoding="gzip"),
    "an NRRD volume that unpacks to 200 MB by bzip2": nrrd(payload=bz2.compress(bytes(200_000_000)), encoding="bz2"),
    "an NRRD header of a long label": nrrd(labels='"' + "a" * 250_000 + '"'),
    "a GIF of many frames": saved(picture(0, (4, 4)).convert("P"), "GIF", save_all=True, append_images=FRAMES * 2500),
}
DOCUMENTS = {
    "lists in lists": b"[" * 1_000_000,
    "objects in objects": b'{"input_data":' * 200_000,
    "data URIs in data URIs": json.dumps(table(["image"], [["data:image/png;base64," * 50_000]])).encode(),
    "base64 of base64": json.dumps(table(["image"], [[encoded(encoded(encoded(png()).encode()).encode())]])).encode(),
    "a number without end": b'{"input_data": ' + b"9" * 1_000_000 + b"}",
    "a million columns": json.dumps(table(["text"] * 1_000_000, [])).encode(),
    "a column for every record": json.dumps({"dataframe_records": [{str(i): ""} for i in range(50_000)]}).encode(),
}
