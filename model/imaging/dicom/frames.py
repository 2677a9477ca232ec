"""Frames of a DICOM file: their number, the choice of one, and the header elements that belong to it."""

from typing import Any

import numpy as np
from pydicom.dataset import Dataset
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
from model.imaging.dicom.sequences import item
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
# Functional groups that rendering needs: rescaling and window (PS3.3 C.7.6.16.2.9 and C.7.6.16.2.10).
_FUNCTIONAL_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")


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
    """The values of the Extended Offset Table (PS3.3 C.7.6.3.1.8); empty if there is none."""
    table = dataset.get("ExtendedOffsetTable") or b""
    return np.frombuffer(table[: len(table) // 8 * 8], dtype="<u8").tolist() if isinstance(table, bytes) else []


def merge_functional_groups(dataset: Any, index: int) -> Any:
    """A copy of the data set with the elements of a frame's functional groups at its top level.

    Enhanced objects have there, per frame, what other objects have at the top level (PS3.3 C.7.6.16). A group of the
    frame replaces a shared one.
    """
    merged = Dataset()
    merged.update(dataset)
    merged.set_original_encoding(*dataset.original_encoding)
    for keyword, place in (("SharedFunctionalGroupsSequence", 0), ("PerFrameFunctionalGroupsSequence", index)):
        group = item(dataset, keyword, place)
        for name in _FUNCTIONAL_GROUPS:
            source = None if group is None else item(group, name)
            if source is not None:
                merged.update(source)
    return merged
