"""Recognition of image files by their first bytes: the part of a file that is read to find the images of a folder."""

import struct
from collections.abc import Iterator

from model.imaging.formats import raster_name, recognise, refused_name
from model.imaging.raster import jpeg
from model.imaging.raster.tiff.directory import read_layout

HEAD_BYTES = 4096  # holds every signature, and the SOP class of a DICOM file
NOT_ACCEPTED = "not in an accepted image format"
DICOMDIR = "DICOMDIR"
# A file with such a name is meant to be an image: if its content is unknown, it counts as a damaged one.
_IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2", ".j2k", ".avif"),
    *(".dcm", ".dicom", ".nii", ".nii.gz", ".nrrd"),
)
# Sizes of the header behind the 14 bytes of a bitmap's file header: a text may begin with "BM" too.
_BITMAP_HEADER_BYTES = (12, 16, 40, 52, 56, 64, 108, 124)
_BITMAP_HEADER_SIZE = slice(14, 18)
# PS3.10, section 7.1: 128 bytes of preamble and this prefix, then the file meta information in explicit little endian.
_PREFIX_PLACE, _PREFIX = slice(128, 132), b"DICM"
_MEDIA_STORAGE_SOP_CLASS, _SOP_CLASS = (0x0002, 0x0002), (0x0008, 0x0016)
# PS3.5, table 7.1-1: value representations with two reserved bytes and a length of four.
_LONG_LENGTHS = (b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV")
_STORAGE = "1.2.840.10008.5.1.4.1.1."
# SOP classes whose files have no picture (PS3.4, table B.5-1 and section B.6), by what their files hold. A UID that
# ends in a dot stands for every class below it. The pixels of RT Dose are doses.
_KINDS_WITHOUT_PICTURE = {
    DICOMDIR: ("1.2.840.10008.1.3.10",),
    "structured report or measurements": [f"{_STORAGE}{root}" for root in ("88.", "78.", "79.", "80.", "90.")],
    "encapsulated document": [f"{_STORAGE}104."],
    "presentation state": [f"{_STORAGE}{root}" for root in ("11.", "131")],
    "waveform or curve": [f"{_STORAGE}{root}" for root in ("9.", "129")],
    "radiotherapy plan, dose or record": [f"{_STORAGE}481.{number}" for number in (*range(2, 23), 25)],
    "registration": [f"{_STORAGE}{root}" for root in ("66.1", "66.2", "66.3", "77.1.5.3")],
    "surface or tract": [f"{_STORAGE}{root}" for root in ("66.5", "66.6", "68.")],
    "raw data or spectroscopy": [f"{_STORAGE}{root}" for root in ("66", "4.2")],
    "overlay, lookup table or annotation": [f"{_STORAGE}{root}" for root in ("8", "10", "67", "91.")],
    "protocol, template or inventory": [
        *(f"{_STORAGE}{root}" for root in ("200.", "201.")),
        *(f"1.2.840.10008.5.1.4.{root}" for root in ("34.", "38.", "39.", "43.", "44.", "45.")),
    ],
}


def why_not_an_image(head: bytes, name: str) -> str:
    """Decide by a file's first bytes whether it can be an image.

    Args:
        head: at least the first `HEAD_BYTES` of the file, or all of a smaller file.
        name: name of the file. If the content is unknown, the suffix of an image makes it an image that is damaged.

    Returns:
        "" for an image, readable or damaged; otherwise the reason for leaving the file out.
    """
    if is_dicom(head):
        kind = kind_without_picture(head)
        return kind if kind in ("", DICOMDIR) else f"DICOM without a picture ({kind})"
    known = recognise(head)
    if (known and known.name != "DICOM") or _is_raster(head) or name.lower().endswith(_IMAGE_SUFFIXES):
        return ""
    refused = refused_name(head)
    return "empty" if not head else f"{NOT_ACCEPTED} ({refused})" if refused else NOT_ACCEPTED


def is_dicom(head: bytes) -> bool:
    """Whether a file is DICOM. Without the prefix, its first two elements must be elements of a data set in order."""
    known = recognise(head)
    if known is None or known.name != "DICOM":
        return False
    if head[_PREFIX_PLACE] == _PREFIX:
        return True
    tags = [tag for _, (tag, _) in zip(range(2), _elements(head), strict=False)]
    return len(tags) == 2 and tags[0] < tags[1] and tags[1][0] <= _SOP_CLASS[0]


def kind_without_picture(head: bytes) -> str:
    """What a DICOM file holds in place of a picture; "" if its SOP class is one with pictures, or is unknown."""
    for tag, value in _elements(head):
        if tag in (_MEDIA_STORAGE_SOP_CLASS, _SOP_CLASS):
            uid = value.rstrip(b"\0 ").decode("ascii", "replace")
            for kind, classes in _KINDS_WITHOUT_PICTURE.items():
                if any(uid == known or (known.endswith(".") and f"{uid}.".startswith(known)) for known in classes):
                    return kind
    return ""


def _elements(head: bytes) -> Iterator[tuple[tuple[int, int], bytes]]:
    """The tag and the value of each element at the beginning of a DICOM file, explicit or implicit, in either order."""
    has_prefix = head[_PREFIX_PLACE] == _PREFIX
    place = _PREFIX_PLACE.stop if has_prefix else 0
    order = ">" if head[:1] == b"\0" and not has_prefix else "<"
    while place + 12 <= len(head):
        representation = head[place + 4 : place + 6]
        if representation in _LONG_LENGTHS:
            start, (length,) = place + 12, struct.unpack_from(f"{order}I", head, place + 8)
        elif representation.isalpha() and representation.isupper():
            start, (length,) = place + 8, struct.unpack_from(f"{order}H", head, place + 6)
        else:
            start, (length,) = place + 8, struct.unpack_from(f"{order}I", head, place + 4)
        group, element = struct.unpack_from(f"{order}HH", head, place)
        yield (group, element), head[start : start + length]
        place = start + length


def _is_raster(head: bytes) -> bool:
    """Whether the first bytes are those of a file that the reader of raster images takes."""
    if head.startswith(b"BM"):
        return int.from_bytes(head[_BITMAP_HEADER_SIZE], "little") in _BITMAP_HEADER_BYTES
    if raster_name(head) or read_layout(head):
        return True
    return refused_name(head) is None and jpeg.from_start(head) != head
