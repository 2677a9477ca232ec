"""DICOM files that others publish for tests: in the packages pydicom, pydicom-data and wsidicom-data. No network."""

import io
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydicom import uid
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.filewriter import dcmwrite

from tests.support.image_files.dicom import PYDICOM_FILES

_WORDS = {12: 16}  # bits allocated for bits stored that are not whole bytes
_COLOURS = {
    uid.JPEG2000Lossless: "YBR_RCT",
    uid.JPEG2000: "YBR_ICT",
}


@dataclass(frozen=True)
class PublishedFile:
    """A published file, or a published encoded frame in a file that the tests make.

    Args:
        name: name of the file, for people.
        collection: name of the package.
        data: the file.
        original: the picture that was encoded, (H, W) or (H, W, 3), if the collection has it.
    """

    name: str
    collection: str
    data: bytes
    original: NDArray[np.uint8] | None = None


@cache
def published_files() -> tuple[PublishedFile, ...]:
    """All files of the three packages."""
    folder = _folder("data_store") / "data"
    return (
        *(PublishedFile(_short(path), "pydicom", path.read_bytes()) for path in PYDICOM_FILES),
        *(PublishedFile(path.name, "pydicom-data", path.read_bytes()) for path in sorted(folder.iterdir())),
        *_wsidicom_files(_folder("wsidicom_data") / "data"),
    )


def _folder(package: str) -> Path:
    """The folder of an installed package, which is not imported."""
    spec = find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise ModuleNotFoundError(package)
    return Path(spec.submodule_search_locations[0])


def _short(path: Path) -> str:
    """The name of a file; that of its folder before it where only that makes it unique."""
    return path.name if path.suffix == ".dcm" else f"{path.parent.name}/{path.name}"


def _wsidicom_files(folder: Path) -> Iterator[PublishedFile]:
    """One tile in many transfer syntaxes; a file is named by its syntax, channels and bits."""
    tile = Image.open(folder / "test_tile.png")
    original = {"GRAYSCALE": np.asarray(tile.convert("L")), "RGB": np.asarray(tile), "YBR": np.asarray(tile)}
    syntaxes = {syntax.name.replace(" ", "_"): syntax for syntax in map(uid.UID, uid.UID_dictionary)}
    for path in sorted((folder / "encoded").iterdir()):
        name, channels, bits = path.stem.rsplit("-", 2)
        data = _wrapped(path.read_bytes(), syntaxes[name], channels, int(bits), tile.size)
        yield PublishedFile(path.name, "wsidicom-data", data, original[channels])


def _wrapped(frame: bytes, syntax: uid.UID, channels: str, bits: int, size: tuple[int, int]) -> bytes:
    """A DICOM file around one encoded frame. Greys have a window of all values."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = syntax
    dataset.SOPClassUID, dataset.SOPInstanceUID = uid.VLWholeSlideMicroscopyImageStorage, "1.2.3"
    dataset.Columns, dataset.Rows = size
    dataset.BitsStored, dataset.BitsAllocated = bits, _WORDS.get(bits, bits)
    dataset.HighBit, dataset.PixelRepresentation = bits - 1, 0
    if channels == "GRAYSCALE":
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.WindowCenter, dataset.WindowWidth, dataset.VOILUTFunction = 2 ** (bits - 1), 2**bits, "LINEAR"
    else:
        dataset.SamplesPerPixel, dataset.PlanarConfiguration = 3, 0
        dataset.PhotometricInterpretation = _COLOURS.get(syntax, "YBR_FULL") if channels == "YBR" else "RGB"
    dataset.PixelData = encapsulate([frame]) if syntax.is_encapsulated else frame
    dataset["PixelData"].VR = "OB" if syntax.is_encapsulated or bits == 8 else "OW"
    stream = io.BytesIO()
    dcmwrite(stream, dataset, enforce_file_format=True)
    return stream.getvalue()
