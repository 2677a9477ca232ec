"""DICOM files: frames, and refusals. Each file in pydicom's package is rendered correctly or refused by name."""

import io
import subprocess
import sys
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    MPEG2MPML,
    EncapsulatedPDFStorage,
    EnhancedMRImageStorage,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RTDoseStorage,
)

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge, InvalidInput
from model.imaging.images import check, decode, frame_count
from model.imaging.rendering import Rendering
from tests.support.image_files.dicom import HOUNSFIELD, MAX_PIXELS, PYDICOM_FILES, ct, greys

TOLERANCE = 2  # grey levels, against another decoder of lossless files
LOSSY = {"JPGExtended.dcm": 3, "examples_ybr_color.dcm": 3}  # tolerance: decoders of these files may round differently

# GDCM swaps bytes of run-length encoded colours of 16 and 32 bits. It reads the same pictures of 8 bits instead.
EIGHT_BITS = {
    "SC_rgb_rle_16bit.dcm": "SC_rgb_rle.dcm",
    "SC_rgb_rle_32bit.dcm": "SC_rgb_rle.dcm",
    "SC_rgb_rle_16bit_2frame.dcm": "SC_rgb_rle_2frame.dcm",
    "SC_rgb_rle_32bit_2frame.dcm": "SC_rgb_rle_2frame.dcm",
}

NO_PICTURE = {
    "12-lead ECG Waveform Storage": ["waveform_ecg.dcm"],
    "Basic Text SR Storage": ["reportsi.dcm", "reportsi_with_empty_number_tags.dcm"],
    "CT Image Storage": [path.name for path in PYDICOM_FILES if path.name.startswith("IM0000")],
    "Color Palette Storage": [
        *("fall.dcm", "hotiron.dcm", "hotmetalblue.dcm", "pet.dcm", "pet20step.dcm"),
        *("spring.dcm", "summer.dcm", "winter.dcm"),
    ],
    "Comprehensive SR Storage": ["test-SR.dcm"],
    "Computed Radiography Image Storage": ["chrJapMulti.dcm", "chrJapMultiExplicitIR6.dcm", "chrKoreanMulti.dcm"],
    "RT Dose Storage": [
        *("badVR.dcm", "rtdose.dcm", "rtdose_1frame.dcm", "rtdose_expb.dcm", "rtdose_expb_1frame.dcm"),
        *("rtdose_rle.dcm", "rtdose_rle_1frame.dcm"),
    ],
    "RT Ion Plan Storage": ["ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm"],
    "RT Plan Storage": ["rtplan.dcm", "rtplan_truncated.dcm"],
    "RT Structure Set Storage": ["rtstruct.dcm"],
    "unknown": [
        *("DICOMDIR", "DICOMDIR-bigEnd", "DICOMDIR-empty.dcm", "DICOMDIR-implicit", "DICOMDIR-nooffset"),
        *("DICOMDIR-nopatient", "DICOMDIR-reordered", "UN_sequence.dcm", "chrSQEncoding.dcm", "chrSQEncoding1.dcm"),
        *("empty_charset_LEI.dcm", "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm", "no_meta_group_length.dcm"),
        "priv_SQ.dcm",
    ],
}
REFUSED = {name: rf"contains no picture \(SOP class: {kind}\)" for kind, names in NO_PICTURE.items() for name in names}
REFUSED |= {
    "image_dfl.dcm": r"unsupported transfer syntax \(Deflated Explicit VR Little Endian\)",
    "MR_truncated.dcm": "damaged or cut short",
    "JPEG-lossy.dcm": "damaged or cut short",  # its scan header is invalid in sequential mode
    "JPEG2000-embedded-sequence-delimiter.dcm": "more than 4,000,000 pixels",  # its SIZ marker has no valid size
    "no_meta.dcm": "cannot be read as any of",  # starts in the middle of an element
    "README": "cannot be read as any of",
}


@pytest.mark.parametrize("path", PYDICOM_FILES, ids=lambda path: path.name)
def test_every_file_of_pydicom_is_rendered_correctly_or_refused(path: Path) -> None:
    data = path.read_bytes()
    if path.name in REFUSED:
        with pytest.raises(InvalidInput, match=REFUSED[path.name]):
            decode(data, max_pixels=MAX_PIXELS)
        return
    ours = np.asarray(decode(data, max_pixels=MAX_PIXELS))
    expected = rendered_by_gdcm(path.with_name(EIGHT_BITS.get(path.name, path.name)))
    assert ours.shape == expected.shape
    assert np.abs(ours - expected).max() <= LOSSY.get(path.name, TOLERANCE)


def rendered_by_gdcm(path: Path) -> NDArray[np.float64]:
    """The first frame, by another decoder and the formulas of PS3.3 C.11.2."""
    reader = sitk.ImageFileReader()
    reader.SetImageIO("GDCMImageIO")
    reader.SetFileName(str(path))
    image = reader.Execute()
    header = pydicom.dcmread(path, stop_before_pixels=True, force=True)
    values = sitk.GetArrayFromImage(image).astype(float)
    values = (
        values[0] if header.get("NumberOfFrames", 1) > 1 or values.ndim > 2 + (header.SamplesPerPixel > 1) else values
    )
    if header.SamplesPerPixel > 1 or header.PhotometricInterpretation == "PALETTE COLOR":
        return np.asarray(np.floor(values / 2 ** max(0, header.BitsStored - 8)))
    inverted = header.PhotometricInterpretation == "MONOCHROME1"
    if inverted:  # GDCM has already inverted the stored values, before rescaling
        slope, intercept = float(header.get("RescaleSlope", 1)), float(header.get("RescaleIntercept", 0))
        values = slope * (2**header.BitsStored - 1) + 2 * intercept - values
    greys = np.clip(windowed(values, header), 0, 255)
    return 255 - greys if inverted else greys


def windowed(values: NDArray[np.float64], header: Dataset) -> NDArray[np.float64]:
    if "WindowCenter" in header:
        center, width = (float(np.ravel(header[name].value)[0]) for name in ("WindowCenter", "WindowWidth"))
        return np.asarray(((values - (center - 0.5)) / (width - 1) + 0.5) * 255)
    low, high = np.percentile(values, (0.5, 99.5))
    if high == low:
        low, high = values.min(), values.max()
    return np.asarray((values - low) * 255 / (high - low))


def volume(frames: int = 5) -> NDArray[np.uint8]:
    return np.stack([np.full((2, 3), 50 * number, dtype=np.uint8) for number in range(frames)])


FULL_RANGE = {"WindowCenter": 127.5, "WindowWidth": 255, "VOILUTFunction": "LINEAR_EXACT"}


def test_a_frame_is_chosen_by_its_number() -> None:
    data = ct(volume(), **FULL_RANGE)
    assert frame_count(data, max_pixels=MAX_PIXELS) == 5
    assert greys(data)[0][0] == 0
    assert greys(data, Rendering(frame=3))[0][0] == 150
    with pytest.raises(ImageDecodeError, match="has 5 frames, counted from 0: there is no frame 5"):
        check(data, max_pixels=MAX_PIXELS, rendering=Rendering(frame=5))


def test_the_middle_frame_of_a_volume_is_the_default() -> None:
    assert greys(ct(volume(), SOPClassUID=EnhancedMRImageStorage, **FULL_RANGE))[0][0] == 100


def test_the_functional_groups_of_a_frame_are_applied() -> None:
    groups = []
    for center in (50, 100):
        voi, group = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth, voi.VOILUTFunction = center, 100, "LINEAR_EXACT"
        group.FrameVOILUTSequence = Sequence([voi])
        groups.append(group)
    data = ct(np.full((2, 1, 1), 75, dtype=np.uint8), PerFrameFunctionalGroupsSequence=Sequence(groups))
    assert [greys(data, Rendering(frame=number)) for number in range(2)] == [[[191]], [[64]]]


def refused(data: bytes, kind: type[Exception], *words: str) -> None:
    for function in (check, decode):
        with pytest.raises(kind) as error:
            function(data, max_pixels=MAX_PIXELS)
        assert [word for word in words if word not in str(error.value)] == []
        assert "SECRET" not in str(error.value)


@pytest.mark.parametrize("kind", [EncapsulatedPDFStorage, RTDoseStorage])
def test_a_file_without_a_picture_is_refused_by_its_sop_class(kind: pydicom.uid.UID) -> None:
    refused(
        ct(HOUNSFIELD, SOPClassUID=kind, Rows=1 if kind == RTDoseStorage else None), ImageFormatUnsupported, kind.name
    )


def test_a_private_sop_class_is_not_repeated() -> None:
    data = ct(HOUNSFIELD, SOPClassUID="1.2.826.0.1.3680043.99", PixelData=None)
    refused(data, ImageFormatUnsupported, "SOP class: unknown")


def test_a_video_is_refused_by_its_transfer_syntax() -> None:
    data = ct(HOUNSFIELD, TransferSyntaxUID=MPEG2MPML, PixelData=encapsulate([b"\0\0\1\xba"]))
    refused(data, ImageFormatUnsupported, "MPEG2 Main Profile / Main Level")


def test_bombs_are_refused_by_their_headers() -> None:
    refused(ct(HOUNSFIELD, Rows=65535, Columns=65535), ImageTooLarge, "4,000,000 pixels")
    data = ct(HOUNSFIELD, NumberOfFrames=2**31 - 1)
    assert frame_count(data, max_pixels=MAX_PIXELS) == 2**31 - 1
    with pytest.raises(ImageDecodeError, match="damaged or cut short"):
        decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(frame=10**9))


@pytest.mark.parametrize(("syntax", "kind"), [(JPEGBaseline8Bit, "JPEG"), (JPEG2000Lossless, "JPEG2000")])
def test_a_compressed_frame_larger_than_its_header_is_refused_before_it_is_decoded(syntax: str, kind: str) -> None:
    stream = io.BytesIO()
    Image.new("L", (3000, 3000)).save(stream, kind)
    frame = stream.getvalue()
    data = ct(np.zeros((8, 8), np.uint8), TransferSyntaxUID=syntax, PixelData=encapsulate([frame]))
    with pytest.raises(ImageTooLarge):
        decode(data, max_pixels=MAX_PIXELS)
    with pytest.raises(ImageDecodeError, match="header and its compressed frame have different sizes"):
        decode(data, max_pixels=10_000_000)


def test_no_part_of_a_header_is_printed_or_logged() -> None:
    program = (
        "import logging, pathlib, sys\n"
        "from model.errors import InvalidInput\n"
        "from model.imaging.images import decode\n"
        "logging.basicConfig(level=logging.DEBUG)\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        decode(pathlib.Path(path).read_bytes(), max_pixels=4_000_000)\n"
        "    except InvalidInput:\n"
        "        pass\n"
    )
    command = [sys.executable, "-W", "default", "-c", program, *map(str, PYDICOM_FILES)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "pydicom" not in done.stderr
    assert "WARNING" not in done.stderr
    assert done.stdout == ""
