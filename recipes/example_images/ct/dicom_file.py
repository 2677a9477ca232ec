"""Writing slices as one DICOM file: Legacy Converted Enhanced CT (PS3.3 A.70), in JPEG-LS without loss."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEGLSLossless, LegacyConvertedEnhancedCTImageStorage

from recipes.example_images.shapes import Array

UID = "1.2.826.0.1.3680043.8.498.14."  # below pydicom's root for identifiers that mean nothing
SLOPE, INTERCEPT = 2, -1024
WINDOW_CENTER, WINDOW_WIDTH = -600, 2400  # shows everything from air to bone


def write_ct(path: Path, values: Array, *, pixel_mm: float, spacing_mm: float) -> None:
    """Write slices as frames.

    Args:
        path: the file.
        values: (frames, H, W) in Hounsfield units, the uppermost slice first. The file stores them in steps of 2.
        pixel_mm: side of a pixel.
        spacing_mm: distance from slice to slice.
    """
    dataset = _identity()
    dataset.NumberOfFrames, dataset.Rows, dataset.Columns = values.shape
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.SharedFunctionalGroupsSequence = [_shared_groups(pixel_mm, spacing_mm)]
    corner = -pixel_mm * (values.shape[2] - 1) / 2
    dataset.PerFrameFunctionalGroupsSequence = [
        _groups_of_frame(number, [corner, corner, -number * spacing_mm]) for number in range(len(values))
    ]
    dataset.PixelData = np.rint((values - INTERCEPT) / SLOPE).astype("<u2").tobytes()
    dataset.compress(JPEGLSLossless, encoding_plugin="pyjpegls", generate_instance_uid=False)
    dataset.save_as(path, enforce_file_format=True)


def _identity() -> Dataset:
    """A dataset that says what the file is, and that there is no patient."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID, dataset.SOPInstanceUID = LegacyConvertedEnhancedCTImageStorage, f"{UID}3"
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.FrameOfReferenceUID = f"{UID}1", f"{UID}2", f"{UID}4"
    dataset.PatientName, dataset.PatientID = "Phantom^Drawn", "PHANTOM"
    for keyword in ("PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "AccessionNumber", "StudyID",
                    "ReferringPhysicianName", "Manufacturer", "PositionReferenceIndicator"):  # fmt: skip
        setattr(dataset, keyword, "")
    dataset.SeriesNumber, dataset.InstanceNumber = 1, 1
    dataset.Modality, dataset.BodyPartExamined, dataset.PatientPosition = "CT", "CHESTABDOMEN", "HFS"
    dataset.SeriesDescription = "Drawn by a program, not a patient"
    dataset.ImageType = ["DERIVED", "PRIMARY", "AXIAL", "NONE"]
    dataset.BurnedInAnnotation, dataset.LossyImageCompression, dataset.PresentationLUTShape = "NO", "00", "IDENTITY"
    return dataset


def _shared_groups(pixel_mm: float, spacing_mm: float) -> Dataset:
    """What all frames have in common: size of a pixel, orientation, rescaling to Hounsfield units, window."""
    groups = Dataset()
    groups.PixelMeasuresSequence = [
        _item(PixelSpacing=[pixel_mm] * 2, SliceThickness=spacing_mm, SpacingBetweenSlices=spacing_mm)
    ]
    groups.PlaneOrientationSequence = [_item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0])]
    groups.PixelValueTransformationSequence = [_item(RescaleSlope=SLOPE, RescaleIntercept=INTERCEPT, RescaleType="HU")]
    groups.FrameVOILUTSequence = [_item(WindowCenter=WINDOW_CENTER, WindowWidth=WINDOW_WIDTH)]
    return groups


def _groups_of_frame(number: int, position: list[float]) -> Dataset:
    """Where a frame lies; `position` is that of its upper left pixel in mm."""
    groups = Dataset()
    groups.FrameContentSequence = [_item(StackID="1", InStackPositionNumber=number + 1)]
    groups.PlanePositionSequence = [_item(ImagePositionPatient=position)]
    return groups


def _item(**elements: object) -> Dataset:
    item = Dataset()
    for keyword, value in elements.items():
        setattr(item, keyword, value)
    return item
