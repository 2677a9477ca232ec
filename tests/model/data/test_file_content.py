"""What the first bytes of a file say: an image, a DICOM file without a picture, or neither."""

import gzip
import io
from typing import Any

import pydicom
import pytest
from pydicom.uid import (
    UID,
    BasicTextSRStorage,
    CTImageStorage,
    EncapsulatedPDFStorage,
    ExplicitVRBigEndian,
    GrayscaleSoftcopyPresentationStateStorage,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    RawDataStorage,
    RTDoseStorage,
    RTImageStorage,
    RTStructureSetStorage,
    SegmentationStorage,
    TwelveLeadECGWaveformStorage,
)

from model.data.file_content import HEAD_BYTES, NOT_ACCEPTED, why_not_an_image
from model.errors import InvalidInput
from model.imaging.images import open_image
from tests.support.image_files.dicom import HOUNSFIELD, MAX_PIXELS, PYDICOM_FILES, ct
from tests.support.image_files.volumes import nifti, nrrd
from tests.support.samples import picture, saved

LABEL_MAP = UID("1.2.840.10008.5.1.4.1.1.66.7")  # Label Map Segmentation Storage, newer than pydicom 3.0
RASTER = {kind: saved(picture(), kind) for kind in ("PNG", "JPEG", "TIFF", "BMP", "GIF", "WEBP", "JPEG2000", "AVIF")}


def bare_ct(**options: Any) -> bytes:
    """A CT file without preamble and file meta information."""
    dataset = pydicom.dcmread(io.BytesIO(ct(HOUNSFIELD)))
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, pydicom.Dataset(dict(dataset.items())), **options)
    return stream.getvalue()


@pytest.mark.parametrize("data", RASTER.values(), ids=RASTER)
def test_an_image_is_known_without_its_name(data: bytes) -> None:
    assert why_not_an_image(data[:HEAD_BYTES], "notes.txt") == ""


@pytest.mark.parametrize("data", [nifti(), nrrd()], ids=["NIfTI", "NRRD"])
def test_a_volume_is_known_without_its_name(data: bytes) -> None:
    assert why_not_an_image(data[:HEAD_BYTES], "volume") == ""


@pytest.mark.parametrize(
    "data",
    [
        ct(HOUNSFIELD),
        ct(HOUNSFIELD, TransferSyntaxUID=ImplicitVRLittleEndian),
        bare_ct(implicit_vr=True, little_endian=True),
        bare_ct(implicit_vr=False, little_endian=True),
        bare_ct(implicit_vr=False, little_endian=False),
    ],
    ids=["file", "implicit", "bare, implicit", "bare, explicit", "bare, big endian"],
)
def test_a_dicom_file_is_known_without_its_name(data: bytes) -> None:
    assert why_not_an_image(data[:HEAD_BYTES], "IM1") == ""


@pytest.mark.parametrize("sop_class", [CTImageStorage, RTImageStorage, SegmentationStorage, LABEL_MAP])
def test_a_class_with_pictures_is_an_image_even_if_its_file_is_damaged(sop_class: UID) -> None:
    assert why_not_an_image(ct(HOUNSFIELD, SOPClassUID=sop_class)[:600], "IM1") == ""


@pytest.mark.parametrize(
    ("sop_class", "reason"),
    [
        (BasicTextSRStorage, "DICOM without a picture (structured report or measurements)"),
        (EncapsulatedPDFStorage, "DICOM without a picture (encapsulated document)"),
        (GrayscaleSoftcopyPresentationStateStorage, "DICOM without a picture (presentation state)"),
        (TwelveLeadECGWaveformStorage, "DICOM without a picture (waveform or curve)"),
        (RTStructureSetStorage, "DICOM without a picture (radiotherapy plan, dose or record)"),
        (RTDoseStorage, "DICOM without a picture (radiotherapy plan, dose or record)"),
        (RawDataStorage, "DICOM without a picture (raw data or spectroscopy)"),
        (MediaStorageDirectoryStorage, "DICOMDIR"),
    ],
)
@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian])
def test_a_class_without_pictures_is_named(sop_class: UID, reason: str, syntax: UID) -> None:
    data = ct(HOUNSFIELD, SOPClassUID=sop_class, TransferSyntaxUID=syntax)
    assert why_not_an_image(data[:HEAD_BYTES], "IM1") == reason


@pytest.mark.parametrize(
    "data",
    [
        b"Jane Doe",
        b"BMI,age\n22,70\n",
        b"\x08\0\0\0" + bytes(100),  # an array of numbers that begins like a DICOM file without preamble
        b"\x08\0\x05\0",
    ],
    ids=["text", "table that begins like a bitmap", "numbers", "cut short"],
)
def test_other_files_are_not_in_an_accepted_format(data: bytes) -> None:
    assert why_not_an_image(data, "file.dat") == NOT_ACCEPTED


@pytest.mark.parametrize(
    ("data", "name"), [(b"%PDF-1.7", "PDF"), (b"PK\x03\x04", "ZIP"), (b"\0\0\0\x18ftypheic", "HEIC (HEIF)")]
)
def test_a_usual_format_that_is_not_accepted_is_named(data: bytes, name: str) -> None:
    assert why_not_an_image(data, "file.dat") == f"{NOT_ACCEPTED} ({name})"


def test_what_the_readers_forgive_is_found_too() -> None:
    assert why_not_an_image(b"\0\0" + RASTER["JPEG"], "x") == ""
    assert why_not_an_image(gzip.compress(nifti())[:HEAD_BYTES], "x") == ""


def test_a_file_named_like_an_image_counts_as_a_damaged_one() -> None:
    assert why_not_an_image(b"version https://git-lfs.github.com/spec/v1", "1.PNG") == ""
    assert why_not_an_image(b"", "1.dcm") == ""
    assert why_not_an_image(b"", "1") == "empty"


@pytest.mark.parametrize("length", range(0, 600, 7))
def test_no_beginning_of_a_file_is_an_error(length: int) -> None:
    for data in (ct(HOUNSFIELD), bare_ct(implicit_vr=False, little_endian=False), RASTER["BMP"], nifti()):
        why_not_an_image(data[:length], "x")


def test_every_file_of_pydicom_that_can_be_read_is_found_without_its_name() -> None:
    missed = []
    for file in PYDICOM_FILES:
        data = file.read_bytes()
        try:
            open_image(data, max_pixels=MAX_PIXELS)
        except InvalidInput:
            continue
        if reason := why_not_an_image(data[:HEAD_BYTES], "x"):
            missed.append((file.name, reason))
    assert missed == []
