"""DICOM files: small ones made by the tests, and those that pydicom's own package contains."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from model.imaging.images import decode
from model.imaging.rendering import AS_STORED, Rendering

PYDICOM_FILES = sorted(
    path
    for path in (Path(pydicom.__file__).parent / "data").rglob("*")
    if path.is_file() and path.suffix in (".dcm", "")
)
MAX_PIXELS = 4_000_000
HOUNSFIELD = np.array([[-1000, -600, 0, 40, 80, 1000]], dtype=np.int16)


def ct(values: Any, **elements: Any) -> bytes:
    """A CT file.

    Args:
        values: stored values, (H, W), or (frames, H, W).
        **elements: further or other elements by their keyword; None removes an element.
    """
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
    """The pixels of a file's picture, as nested lists."""
    rows: list[Any] = np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=rendering)).tolist()
    return rows
