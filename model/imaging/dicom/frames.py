"""Frames of a DICOM file: their number, the choice of one, and where they lie."""

from typing import Any

import numpy as np
from pydicom.uid import (
    BreastTomosynthesisImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRColorImageStorage,
    EnhancedMRImageStorage,
    EnhancedPETImageStorage,
    EnhancedUSVolumeStorage,
    LegacyConvertedEnhancedCTImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    OphthalmicTomographyImageStorage,
    XRay3DAngiographicImageStorage,
    XRay3DCraniofacialImageStorage,
)

from model.imaging.dicom.elements import number, text
from model.imaging.frames import frame_index
from model.imaging.rendering import Rendering

# SOP classes of volumes: their first frame lies at the edge, so that the middle one is the default.
_VOLUMES = frozenset({
    EnhancedCTImageStorage,
    LegacyConvertedEnhancedCTImageStorage,
    EnhancedMRImageStorage,
    EnhancedMRColorImageStorage,
    LegacyConvertedEnhancedMRImageStorage,
    EnhancedUSVolumeStorage,
    XRay3DAngiographicImageStorage,
    XRay3DCraniofacialImageStorage,
    BreastTomosynthesisImageStorage,
    OphthalmicTomographyImageStorage,
    LegacyConvertedEnhancedPETImageStorage,
    EnhancedPETImageStorage,
})  # fmt: skip


def count(dataset: Any) -> int:
    """The number of frames that the header announces, at least 1."""
    return max(1, int(number(dataset, "NumberOfFrames", 1)))


def choose(dataset: Any, rendering: Rendering) -> int:
    """The index of the frame to decode; by default the middle frame of a volume, or the first of other files.

    Raises:
        ImageDecodeError: the file does not have the requested frame.
    """
    frames = count(dataset)
    default = frames // 2 if text(dataset, "SOPClassUID") in _VOLUMES else 0
    return frame_index(rendering.frame, frames, default=default, source="DICOM file")


def extended_offsets(dataset: Any) -> list[int]:
    """The values of the Extended Offset Table (PS3.3 C.7.6.3.1.8); empty if there is none that can be read."""
    element = dataset.get_item("ExtendedOffsetTable", keep_deferred=True)
    table = None if element is None else element.value
    return np.frombuffer(table[: len(table) // 8 * 8], dtype="<u8").tolist() if isinstance(table, bytes) else []
