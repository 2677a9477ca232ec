"""Frames of a DICOM file: their number, the choice of one, and the header elements that belong to it."""

from typing import Any

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
    return max(1, int(dataset.get("NumberOfFrames") or 1))


def choose(dataset: Any, rendering: Rendering) -> int:
    """The index of the frame to decode; by default the middle frame of a volume, or the first of other files.

    Raises:
        ImageDecodeError: the file does not have the requested frame.
    """
    frames = count(dataset)
    default = frames // 2 if dataset.get("SOPClassUID") in _VOLUMES else 0
    return frame_index(rendering.frame, frames, default=default, source="DICOM file")


def merge_functional_groups(dataset: Any, index: int) -> Any:
    """Copy the elements of a frame's functional groups to the top level of the data set, and return the data set.

    Enhanced objects have there, per frame, what other objects have at the top level (PS3.3 C.7.6.16). A group of the
    frame replaces a shared one.
    """
    shared = dataset.get("SharedFunctionalGroupsSequence") or []
    per_frame = dataset.get("PerFrameFunctionalGroupsSequence") or []
    for group in [*shared[:1], *per_frame[index : index + 1]]:
        for name in _FUNCTIONAL_GROUPS:
            for item in (group.get(name) or [])[:1]:
                for element in item:
                    dataset[element.tag] = element
    return dataset
