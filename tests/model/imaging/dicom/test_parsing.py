"""DICOM files are parsed within limits, whatever their encoding."""

import io
import struct
import zlib

import numpy as np
import pydicom
import pytest
from pydicom.uid import (
    UID,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
)

from model.errors import ImageDecodeError, ImageTooLarge
from model.imaging.dicom.parsing import parse
from model.imaging.dicom.streams import MAX_READS, Deflated
from tests.support.image_files.dicom import HOUNSFIELD, ct, greys

PIXEL_DATA = b"\xe0\x7f\x10\0"
UNDEFINED = b"\xff\xff\xff\xff"
ITEM = b"\xfe\xff\x00\xe0"
SYNTAXES = [ImplicitVRLittleEndian, ExplicitVRLittleEndian, DeflatedExplicitVRLittleEndian]


def _data_set(deflated: bytes) -> bytes:
    """The inflated data set of a deflated file."""
    start = 132 + 12 + struct.unpack("<I", deflated[140:144])[0]
    return zlib.decompress(deflated[start:], -zlib.MAX_WBITS)


def with_elements(elements: bytes, **changes: object) -> bytes:
    """A CT file with more elements in front of its pixel data, in explicit VR."""
    whole = ct(HOUNSFIELD, **changes)
    place = whole.index(PIXEL_DATA)
    return whole[:place] + elements + whole[place:]


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda syntax: syntax.name)
def test_the_elements_are_found_in_every_encoding(syntax: UID) -> None:
    parsed = parse(ct(HOUNSFIELD, TransferSyntaxUID=syntax), ("Rows", "Columns"))
    assert (parsed.syntax, parsed.dataset.Rows, parsed.dataset.Columns) == (syntax, 1, 6)
    assert parsed.pixels is not None
    value = parsed.load()[parsed.pixels.start :][: parsed.pixels.length]
    assert np.frombuffer(value, "<i2").tolist() == HOUNSFIELD[0].tolist()


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_data_set_without_file_meta_information_tells_its_own_encoding(syntax: UID) -> None:
    dataset = pydicom.dcmread(io.BytesIO(ct(HOUNSFIELD.view(np.uint16))))
    dataset["PixelData"].VR = "OW"
    stream = io.BytesIO()
    pydicom.dcmwrite(
        stream,
        dataset,
        implicit_vr=syntax == ImplicitVRLittleEndian,
        little_endian=syntax != ExplicitVRBigEndian,
        force_encoding=True,
    )
    bare = stream.getvalue()[stream.getvalue().index(b"DICM") + 4 :]
    length = struct.unpack("<I", bare[8:12])[0]
    assert parse(bare[12 + length :], ("Rows",)).syntax == syntax


def test_the_text_of_a_transfer_syntax_elsewhere_in_a_file_decides_nothing() -> None:
    element = struct.pack("<HH2sH", 0x0008, 0x3002, b"UI", 22) + DeflatedExplicitVRLittleEndian.encode()
    assert greys(with_elements(element)) == greys(ct(HOUNSFIELD))


def test_a_deflated_file_is_rendered_as_the_same_file_uncompressed() -> None:
    assert greys(ct(HOUNSFIELD, TransferSyntaxUID=DeflatedExplicitVRLittleEndian)) == greys(ct(HOUNSFIELD))


def test_a_deflated_file_that_inflates_beyond_the_limit_is_refused() -> None:
    whole = ct(HOUNSFIELD, TransferSyntaxUID=DeflatedExplicitVRLittleEndian)
    start = 132 + 12 + struct.unpack("<I", whole[140:144])[0]
    deflater = zlib.compressobj(9, wbits=-zlib.MAX_WBITS)
    head = _data_set(whole)[: -len(HOUNSFIELD.tobytes()) - 4]
    length = 300 * 2**20
    bomb = whole[:start] + deflater.compress(head + struct.pack("<I", length) + bytes(length)) + deflater.flush()
    parsed = parse(bomb, ("Rows",))
    assert parsed.pixels is not None
    assert parsed.pixels.length == length
    with pytest.raises(ImageTooLarge, match="inflates to more than 256 MiB"):
        greys(bomb)


def test_a_deflated_file_is_inflated_up_to_its_pixel_data_first(monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []

    class Counted(Deflated):
        def read(self) -> bytes:
            piece = super().read()
            read.append(len(piece))
            return piece

    monkeypatch.setattr("model.imaging.dicom.streams.Deflated", Counted)
    frames = np.zeros((100, 500, 500), np.uint16)
    parsed = parse(ct(frames, TransferSyntaxUID=DeflatedExplicitVRLittleEndian), ("Rows",))
    assert sum(read) < 5_000_000
    assert len(parsed.load()) == sum(read) > frames.nbytes
    assert parsed.load() is parsed.load()


def test_a_deflated_file_with_damaged_data_is_refused_by_that_reason() -> None:
    whole = ct(HOUNSFIELD, TransferSyntaxUID=DeflatedExplicitVRLittleEndian)
    start = 132 + 12 + struct.unpack("<I", whole[140:144])[0]
    with pytest.raises(ImageDecodeError, match="deflated data set cannot be inflated"):
        greys(whole[:start] + b"\xff" * 40)


HOSTILE = {
    "too many elements": struct.pack("<HH2sH", 0x0029, 0x1000, b"LO", 0) * MAX_READS,
    "nests its sequences": (struct.pack("<HH2sH", 0x0029, 0x1010, b"SQ", 0) + UNDEFINED + ITEM + UNDEFINED) * 20_000,
    "too many elements;": struct.pack("<HH2sH", 0x0028, 0x3010, b"SQ", 0) + UNDEFINED + (ITEM + bytes(4)) * MAX_READS,
}


@pytest.mark.parametrize("reason", HOSTILE)
def test_a_header_that_would_take_long_is_refused(reason: str) -> None:
    data = with_elements(HOSTILE[reason])
    with pytest.raises(ImageTooLarge, match=reason):
        greys(data)


def test_a_header_whose_sequence_does_not_end_is_refused() -> None:
    whole = ct(HOUNSFIELD)
    unfinished = struct.pack("<HH2sH", 0x0029, 0x1010, b"SQ", 0) + UNDEFINED
    with pytest.raises(ImageDecodeError, match="its elements cannot be read"):
        parse(whole[: whole.index(PIXEL_DATA)] + unfinished, ("Rows",))


def test_a_header_that_ends_within_an_element_is_called_cut_short() -> None:
    whole = ct(HOUNSFIELD, PatientName="x" * 64)
    with pytest.raises(ImageDecodeError, match="cut short in its header"):
        parse(whole[: whole.index(b"x" * 64) + 10], ("Rows",))


def test_the_tags_of_elements_are_searched_once_for_all_files(monkeypatch: pytest.MonkeyPatch) -> None:
    data = ct(HOUNSFIELD)
    first = parse(data, ("Rows", "Columns"))
    monkeypatch.delattr("model.imaging.dicom.parsing.Tag")
    assert parse(data, ("Rows", "Columns")).pixels == first.pixels


@pytest.mark.parametrize("keyword", ["PixelData", "FloatPixelData", "DoubleFloatPixelData"])
def test_each_kind_of_pixel_data_ends_the_header(keyword: str) -> None:
    pixels = parse(ct(HOUNSFIELD, **{"PixelData": None, keyword: bytes(8)}), ("Rows",)).pixels
    assert pixels is not None
    assert (pixels.keyword, pixels.length) == (keyword, 8)


def test_a_file_without_pixel_data_has_none() -> None:
    assert parse(ct(HOUNSFIELD, PixelData=None), ("Rows",)).pixels is None
    assert parse(b"", ("Rows",)).pixels is None
