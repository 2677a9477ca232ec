"""DICOM files: frames, and refusals."""

import subprocess
import sys

import numpy as np
import pytest
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.sequence import Sequence
from pydicom.uid import (
    MPEG2MPML,
    EncapsulatedPDFStorage,
    EnhancedMRImageStorage,
    RTDoseStorage,
)

from model.errors import ImageDecodeError, ImageFormatUnsupported, ImageTooLarge
from model.imaging.images import check, decode, frame_count
from model.imaging.rendering import Rendering
from tests.support.image_files.dicom import HOUNSFIELD, MAX_PIXELS, PYDICOM_FILES, ct, greys


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


def test_a_file_without_a_picture_is_refused_by_its_sop_class() -> None:
    refused(ct(HOUNSFIELD, SOPClassUID=RTDoseStorage), ImageFormatUnsupported, "RT Dose Storage")
    document = ct(HOUNSFIELD, SOPClassUID=EncapsulatedPDFStorage, PixelData=None)
    refused(document, ImageFormatUnsupported, "Encapsulated PDF Storage")


def test_a_dicomdir_is_refused_by_its_name() -> None:
    directory = next(path for path in PYDICOM_FILES if path.name == "DICOMDIR")
    refused(directory.read_bytes(), ImageFormatUnsupported, "is a DICOMDIR", "send the files that it lists")


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
    with pytest.raises(ImageDecodeError, match="fewer frames than its element Number of Frames"):
        decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(frame=10**9))


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
