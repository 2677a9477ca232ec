"""DICOM: every file that pydicom's own package ships is either rendered right, or refused by name; nothing else."""

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    MPEG2MPML,
    CTImageStorage,
    EncapsulatedPDFStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    RTDoseStorage,
)

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge, InvalidInput
from model.images import check, decode, frame_count
from model.rendering import AS_STORED, WINDOWS, Rendering, Window

MAX_PIXELS = 4_000_000
DATA = Path(pydicom.__file__).parent / "data"
SHIPPED = sorted(path for path in DATA.rglob("*") if path.is_file() and path.suffix in (".dcm", ""))
GREY_LEVELS = 2  # of 255, to another decoder of lossless files
LOSSY = {"JPGExtended.dcm": 3, "examples_ybr_color.dcm": 3}  # grey levels: decoders of these may round differently

# GDCM mixes up the bytes of deep run-length encoded colours: the same pictures with 8 bits, which it reads, stand in.
EIGHT_BITS = {
    "SC_rgb_rle_16bit.dcm": "SC_rgb_rle.dcm",
    "SC_rgb_rle_32bit.dcm": "SC_rgb_rle.dcm",
    "SC_rgb_rle_16bit_2frame.dcm": "SC_rgb_rle_2frame.dcm",
    "SC_rgb_rle_32bit_2frame.dcm": "SC_rgb_rle_2frame.dcm",
}

NO_PICTURE = {
    "12-lead ECG Waveform Storage": ["waveform_ecg.dcm"],
    "Basic Text SR Storage": ["reportsi.dcm", "reportsi_with_empty_number_tags.dcm"],
    "CT Image Storage": [path.name for path in SHIPPED if path.name.startswith("IM0000")],
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
    "not a known one": [
        *("DICOMDIR", "DICOMDIR-bigEnd", "DICOMDIR-empty.dcm", "DICOMDIR-implicit", "DICOMDIR-nooffset"),
        *("DICOMDIR-nopatient", "DICOMDIR-reordered", "UN_sequence.dcm", "chrSQEncoding.dcm", "chrSQEncoding1.dcm"),
        *("empty_charset_LEI.dcm", "meta_missing_tsyntax.dcm", "nested_priv_SQ.dcm", "no_meta_group_length.dcm"),
        "priv_SQ.dcm",
    ],
}
REFUSED = {name: f"holds no picture: its SOP class is {kind}" for kind, names in NO_PICTURE.items() for name in names}
REFUSED |= {
    "image_dfl.dcm": "transfer syntax Deflated Explicit VR Little Endian, which is not read",
    "MR_truncated.dcm": "damaged or cut short",
    "JPEG-lossy.dcm": "damaged or cut short",  # its scan header is none of the sequential mode
    "JPEG2000-embedded-sequence-delimiter.dcm": "more than the 4,000,000 pixels",  # its SIZ marker is no size
    "no_meta.dcm": "cannot be read as any of",  # begins in the middle of an element
    "README": "cannot be read as any of",
}


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_every_shipped_file_is_rendered_right_or_refused(path: Path) -> None:
    data = path.read_bytes()
    if path.name in REFUSED:
        with pytest.raises(InvalidInput, match=REFUSED[path.name]):
            decode(data, max_pixels=MAX_PIXELS)
        return
    ours = np.asarray(decode(data, max_pixels=MAX_PIXELS))
    right = rendered_by_gdcm(path.with_name(EIGHT_BITS.get(path.name, path.name)))
    assert ours.shape == right.shape
    assert np.abs(ours - right).max() <= LOSSY.get(path.name, GREY_LEVELS)


def rendered_by_gdcm(path: Path) -> NDArray[np.float64]:
    """The first frame by another decoder and the formulas of PS3.3 C.11.2 written out."""
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
    if inverted:  # which this reader has done already, before the rescaling
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


def ct(values: Any, **elements: Any) -> bytes:
    """A small CT file of these stored values, with more elements or others."""
    stored = np.asarray(values)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = elements.pop("TransferSyntaxUID", ExplicitVRLittleEndian)
    dataset.SOPClassUID, dataset.SOPInstanceUID = CTImageStorage, "1.2.3"
    dataset.PatientName = "SECRET^PATIENT"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8 * stored.dtype.itemsize
    dataset.HighBit, dataset.PixelRepresentation = dataset.BitsStored - 1, int(stored.dtype.kind == "i")
    if stored.ndim == 3:
        dataset.NumberOfFrames = len(stored)
    dataset.PixelData = stored.tobytes()
    for name, value in elements.items():
        if value is None:
            delattr(dataset, name)
        else:
            setattr(dataset, name, value)
    stream = io.BytesIO()
    pydicom.dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()


def greys(data: bytes, rendering: Rendering = AS_STORED) -> list[Any]:
    shown: list[Any] = np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=rendering)).tolist()
    return shown


HOUNSFIELD = np.array([[-1000, -600, 0, 40, 80, 1000]], dtype=np.int16)


def test_the_first_window_of_the_file_counts() -> None:
    assert greys(ct(HOUNSFIELD, WindowCenter=[0, 40], WindowWidth=[2000, 80])) == [[0, 51, 128, 133, 138, 255]]
    assert greys(ct(HOUNSFIELD, WindowCenter=40, WindowWidth=80, VOILUTFunction="LINEAR_EXACT")) == [
        [0, 0, 0, 128, 255, 255]
    ]


def test_a_sigmoid_window() -> None:
    (row,) = greys(ct(HOUNSFIELD, WindowCenter=40, WindowWidth=80, VOILUTFunction="SIGMOID"))
    assert row == [round(255 / (1 + np.exp(-4 * (value - 40) / 80))) for value in HOUNSFIELD[0].astype(float)]


def test_rescaling_comes_before_the_window() -> None:
    stored = (HOUNSFIELD + 1024).astype(np.uint16)
    elements = {"RescaleSlope": "1", "RescaleIntercept": "-1024", "WindowCenter": 40, "WindowWidth": 80}
    assert greys(ct(stored, **elements)) == greys(ct(HOUNSFIELD, WindowCenter=40, WindowWidth=80))


@pytest.mark.parametrize(("name", "first", "last"), [("lung", 60, 255), ("brain", 0, 255), ("temporal_bone", 0, 164)])
def test_a_window_that_is_asked_for_replaces_the_files(name: str, first: int, last: int) -> None:
    window = WINDOWS[name]
    (row,) = greys(ct(HOUNSFIELD, WindowCenter=0, WindowWidth=5), Rendering(window=window))
    low = window.center - window.width / 2
    assert row == [round(min(max((value - low) * 255 / window.width, 0), 255)) for value in HOUNSFIELD[0].tolist()]
    assert (row[0], row[-1]) == (first, last)


def test_without_a_window_the_files_own_percentiles_count() -> None:
    values = np.arange(1000, dtype=np.int16).reshape(10, 100)
    values[0, 0], values[-1, -1] = -32000, 32000  # an artefact that would leave nothing of the rest
    shown = np.ravel(greys(ct(values)))
    assert (shown[0], shown[10], shown[500], shown[-1]) == (0, 1, 128, 255)


@pytest.mark.parametrize("window", [{"WindowCenter": 40, "WindowWidth": 0}, {"WindowCenter": 40, "WindowWidth": "-3"}])
def test_a_window_of_nothing_is_none(window: dict[str, Any]) -> None:
    assert greys(ct(HOUNSFIELD, **window)) == greys(ct(HOUNSFIELD))


def test_all_the_same_is_black() -> None:
    assert greys(ct(np.full((2, 2), 7, dtype=np.uint16))) == [[0, 0], [0, 0]]


def test_monochrome1_is_inverted_and_padding_is_black() -> None:
    values = np.array([[-2000, -1000, 0, 1000]], dtype=np.int16)
    padded = {"PixelPaddingValue": -2000, "WindowCenter": 0.5, "WindowWidth": 2001}
    assert greys(ct(values, **padded)) == [[0, 0, 128, 255]]
    assert greys(ct(values, PhotometricInterpretation="MONOCHROME1", **padded)) == [[0, 255, 127, 0]]


def test_padding_does_not_count_for_the_percentiles() -> None:
    values = np.repeat(np.array([[-2000, -1999, 0, 100]], dtype=np.int16), 50, axis=0)
    data = ct(values, PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1999)
    assert greys(data)[0] == [0, 0, 0, 255]


def test_a_voi_lut_counts_before_a_window() -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData = [3, 10, 16], np.array([0, 65535, 32768], dtype=np.uint16).tobytes()
    data = ct(
        np.array([[0, 10, 11, 12, 99]], dtype=np.uint16),
        VOILUTSequence=Sequence([table]),
        WindowCenter=5,
        WindowWidth=5,
    )
    assert greys(data) == [[0, 0, 255, 128, 128]]


def test_a_modality_lut() -> None:
    table = Dataset()
    table.LUTDescriptor, table.LUTData, table.ModalityLUTType = [3, 0, 16], b"\x00\0\x64\0\xc8\0", "US"
    data = ct(np.array([[0, 1, 2]], dtype=np.uint16), ModalityLUTSequence=Sequence([table]))
    assert greys(data, Rendering(window=Window(100, 200))) == [[0, 128, 255]]


def test_bits_beyond_the_stored_ones_are_overlays() -> None:
    stored = np.array([[0x0000, 0x1FFF, 0xF000]], dtype=np.uint16)
    data = ct(stored, BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=4096)
    assert greys(data) == [[0, 255, 0]]


def volume(frames: int = 5) -> NDArray[np.uint8]:
    return np.stack([np.full((2, 3), 50 * number, dtype=np.uint8) for number in range(frames)])


FULL_RANGE = {"WindowCenter": 127.5, "WindowWidth": 255, "VOILUTFunction": "LINEAR_EXACT"}


def test_a_frame_is_picked_by_its_number() -> None:
    data = ct(volume(), **FULL_RANGE)
    assert frame_count(data, max_pixels=MAX_PIXELS) == 5
    assert greys(data)[0][0] == 0
    assert greys(data, Rendering(frame=3))[0][0] == 150
    with pytest.raises(ImageDecodeError, match="has 5 frames, counted from 0: there is no frame 5"):
        check(data, max_pixels=MAX_PIXELS, rendering=Rendering(frame=5))


def test_of_a_volume_the_middle_is_shown() -> None:
    assert greys(ct(volume(), SOPClassUID=EnhancedMRImageStorage, **FULL_RANGE))[0][0] == 100


def test_the_functional_groups_of_a_frame_count() -> None:
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
def test_what_is_no_picture_is_refused_by_its_sop_class(kind: pydicom.uid.UID) -> None:
    refused(
        ct(HOUNSFIELD, SOPClassUID=kind, Rows=1 if kind == RTDoseStorage else None), ImageFormatUnsupported, kind.name
    )


def test_a_private_sop_class_is_not_repeated() -> None:
    data = ct(HOUNSFIELD, SOPClassUID="1.2.826.0.1.3680043.99", PixelData=None)
    refused(data, ImageFormatUnsupported, "its SOP class is not a known one")


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
    with pytest.raises(ImageDecodeError, match="header and its pixel data differ in size"):
        decode(data, max_pixels=10_000_000)


def test_nothing_of_a_header_is_printed_or_logged() -> None:
    program = (
        "import logging, pathlib, sys\n"
        "from model.errors import InvalidInput\n"
        "from model.images import decode\n"
        "logging.basicConfig(level=logging.DEBUG)\n"
        "for path in sys.argv[1:]:\n"
        "    try:\n"
        "        decode(pathlib.Path(path).read_bytes(), max_pixels=4_000_000)\n"
        "    except InvalidInput:\n"
        "        pass\n"
    )
    command = [sys.executable, "-W", "default", "-c", program, *map(str, SHIPPED)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    assert "pydicom" not in done.stderr
    assert "WARNING" not in done.stderr
    assert done.stdout == ""
