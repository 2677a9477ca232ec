"""NIfTI and NRRD files that unpack to much, or have very many parts."""

import bz2
import gzip
import struct
from collections.abc import Callable
from functools import cache
from typing import Any

import nibabel
import numpy as np

from tests.support.image_files.volumes import nrrd

HEADER_BYTES = 352
EMPTY_MEMBER = gzip.compress(b"", mtime=0)


def header(*sizes: int, kind: type = np.int16, **fields: Any) -> bytes:
    """The header of a NIfTI file, with the four bytes that announce extensions."""
    made = nibabel.Nifti1Header()
    made.set_data_dtype(kind)
    made["dim"][: len(sizes) + 1] = [len(sizes), *sizes]
    made["magic"], made["vox_offset"] = b"n+1", HEADER_BYTES
    made["sform_code"] = 1
    made["srow_x"], made["srow_y"], made["srow_z"] = np.eye(4)[:3]
    for name, value in fields.items():
        made[name] = value
    return bytes(made.binaryblock) + bytes(HEADER_BYTES - 348)


@cache
def packed(first: bytes, zeros: int) -> bytes:
    """One gzip member of some bytes and of zeros behind them."""
    return gzip.compress(first + bytes(zeros), mtime=0)


def extensions(count: int) -> bytes:
    """A NIfTI file with many extensions between header and voxels (the flag at byte 348; 16 bytes each)."""
    head = header(2, 2, 2, vox_offset=HEADER_BYTES + 16 * count)
    return head[:348] + b"\1\0\0\0" + (struct.pack("<ii", 16, 4) + bytes(8)) * count + bytes(16)


VOLUME_BOMBS: dict[str, dict[str, Callable[[], bytes]]] = {
    "NIfTI": {
        "27 trillion voxels": lambda: header(30000, 30000, 30000) + bytes(16),
        "32,767 volumes": lambda: header(2, 2, 2, 32767) + bytes(16),
        "a volume that unpacks to 300 MB": lambda: packed(header(512, 512, 600), 2 * 512 * 512 * 600),
        "a volume that unpacks to 250 MB": lambda: packed(header(512, 512, 500), 2 * 512 * 512 * 500),
        "a series that unpacks to 250 MB": lambda: packed(header(64, 64, 30, 1000), 2 * 64 * 64 * 30 * 1000),
        "200 MB behind a small volume": lambda: packed(header(2, 2, 2) + bytes(16), 200_000_000),
        "200,000 empty members": lambda: (
            gzip.compress(header(2, 2, 2)) + EMPTY_MEMBER * 200_000 + gzip.compress(bytes(16))
        ),
        "200,000 empty members in front": lambda: EMPTY_MEMBER * 200_000 + gzip.compress(header(2, 2, 2) + bytes(16)),
        "a member in 4 MB of zeros": lambda: gzip.compress(header(2, 2, 2) + bytes(16)) + bytes(4_000_000),
        "250,000 extensions": lambda: extensions(250_000),
        "an offset of 2 billion": lambda: header(2, 2, 2, vox_offset=2e9) + bytes(16),
        "an affine of huge numbers": lambda: header(2, 2, 2, srow_x=[3e38] * 4) + bytes(16),
    },
    "NRRD": {
        "27 trillion voxels": lambda: nrrd(sizes="30000 30000 30000"),
        "a volume that unpacks to 200 MB": lambda: nrrd(payload=gzip.compress(bytes(200_000_000)), encoding="gzip"),
        "a volume that unpacks to 200 MB by bzip2": lambda: nrrd(
            payload=bz2.compress(bytes(200_000_000)), encoding="bz2"
        ),
        "a whole volume of 250 MB": lambda: nrrd(
            sizes="500 500 500", type="int16", payload=packed(b"", 250_000_000), encoding="gzip"
        ),
        "200,000 empty members": lambda: nrrd(payload=EMPTY_MEMBER * 200_000, encoding="gzip"),
        "250,000 empty bzip2 streams": lambda: nrrd(payload=bz2.compress(b"") * 250_000, encoding="bzip2"),
        "a long label": lambda: nrrd(labels='"' + "a" * 250_000 + '"'),
        "a header without an end": lambda: b"NRRD0005\n" + b"a: b\n" * 800_000,
        "100,000 sizes": lambda: nrrd(sizes="1 " * 100_000, dimension="100000"),
        "a size of 100,000 digits": lambda: nrrd(sizes="9" * 100_000 + " 1 1"),
        "100,000 directions": lambda: nrrd(space="LPS", space_directions="(1,0,0) " * 20_000),
        "one direction of 200,000 brackets": lambda: nrrd(space="LPS", space_directions="(" * 200_000),
        "50,000 kinds": lambda: nrrd(kinds="domain " * 30_000),
    },
}
