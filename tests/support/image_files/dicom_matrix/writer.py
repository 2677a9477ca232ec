"""A recipe to the bytes of a file, and what the standard says about its picture."""

import io
from functools import cached_property

import numpy as np
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filewriter import dcmwrite
from pydicom.uid import SecondaryCaptureImageStorage

from tests.support.image_files.dicom_matrix.codestreams import Cells, encode
from tests.support.image_files.dicom_matrix.pictures import Samples, padding_bounds, stored_values
from tests.support.image_files.dicom_matrix.recipes import JPEG_LS, Recipe
from tests.support.image_files.dicom_matrix.structures import move_to_groups, restructure
from tests.support.image_files.dicom_matrix.tables import (
    grey_table,
    lut_item,
    lut_sequence,
    palette_elements,
    palette_tables,
    word_bytes,
)
from tests.support.judges.standard import Display, Table

PREAMBLE_BYTES = 132
RESCALES = {"none": (1.0, 0.0), "integer": (2.0, -1024.0), "fraction": (0.37, 12.5), "negative": (-3.0, 500.0)}


class MatrixFile:
    """One file of the matrix.

    Args:
        recipe: its parameters.
        seed: of its noise.

    Attributes:
        stored: its stored values, (frames, H, W) or (frames, H, W, 3).
    """

    def __init__(self, recipe: Recipe, seed: int) -> None:
        self.recipe, self.seed = recipe, seed
        self.stored: Samples = stored_values(recipe, seed)

    @cached_property
    def display(self) -> Display:
        recipe = self.recipe
        photometric = "RGB" if recipe.colour else recipe.photometric
        padding, palette = padding_bounds(recipe), palette_tables(recipe)
        return Display(photometric, recipe.layout.stored, self._modality, self._voi, palette, padding)

    @cached_property
    def _modality(self) -> tuple[float, float] | Table:
        lowest, highest = self.recipe.lowest, self.recipe.lowest + 2**self.recipe.layout.stored - 1
        inside = self.recipe.lut_first == "inside"
        table = grey_table(self.recipe.modality, lowest, highest, inside=inside, curve=0.8)
        return RESCALES[self.recipe.modality] if table is None else table

    @cached_property
    def range(self) -> tuple[float, float]:
        """The lowest and the highest output of the modality transformation."""
        if isinstance(self._modality, Table):
            return 0.0, 2.0**self._modality.bits - 1
        slope, intercept = self._modality
        ends = [slope * end + intercept for end in (0, 2**self.recipe.layout.stored - 1)]
        return min(ends) + slope * self.recipe.lowest, max(ends) + slope * self.recipe.lowest

    @cached_property
    def _voi(self) -> tuple[str, float, float] | Table | None:
        low, high = self.range
        inside = self.recipe.lut_first == "inside"
        table = grey_table(self.recipe.voi, int(np.floor(low)), int(np.ceil(high)), inside=inside, curve=1.3)
        if table is not None or self.recipe.voi == "none":
            return table
        center, width = round((low + high) / 2 + (high - low) / 16, 1), max(round((high - low) * 0.7, 1), 2.0)
        if self.recipe.voi == "width 1":
            return "LINEAR", center, 1.0
        return ("LINEAR" if self.recipe.voi == "several" else self.recipe.voi), center, width

    @cached_property
    def data(self) -> bytes:
        """The file."""
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.file_meta.TransferSyntaxUID = self.recipe.syntax
        dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = SecondaryCaptureImageStorage
        dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = "1.2.3"
        self._describe_pixels(dataset)
        self._describe_display(dataset)
        if self.recipe.groups != "none":
            move_to_groups(dataset, self.recipe.groups, self.recipe.frames)
        restructure(dataset, self.recipe.structure)
        cells = self._cells()
        element = self._encapsulated(dataset, cells) if self.recipe.encapsulated else self._native(cells)
        dataset["PixelData"] = element
        stream = io.BytesIO()
        dcmwrite(stream, dataset, enforce_file_format=True)
        return self._with_start(stream.getvalue())

    def _describe_pixels(self, dataset: Dataset) -> None:
        recipe = self.recipe
        dataset.Rows, dataset.Columns = recipe.size
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1 + 2 * recipe.colour, recipe.photometric
        dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = recipe.layout
        dataset.PixelRepresentation = int(recipe.signed)
        if recipe.colour:
            dataset.PlanarConfiguration = 0 if recipe.syntax in JPEG_LS else recipe.planar
        if recipe.frames > 1:
            dataset.NumberOfFrames = recipe.frames
        if (bounds := padding_bounds(recipe)) is not None:
            vr = "SS" if recipe.signed else "US"
            dataset["PixelPaddingValue"] = DataElement("PixelPaddingValue", vr, bounds[0])
            if recipe.padding == "range":
                dataset["PixelPaddingRangeLimit"] = DataElement("PixelPaddingRangeLimit", vr, bounds[1])

    def _describe_display(self, dataset: Dataset) -> None:
        recipe, voi = self.recipe, self.display.voi
        if isinstance(self._modality, Table):
            item = lut_item(self._modality, recipe, recipe.modality, signed=recipe.signed)
            item.ModalityLUTType = "US"
            dataset.ModalityLUTSequence = lut_sequence(item)
        elif recipe.modality != "none":
            dataset.RescaleSlope, dataset.RescaleIntercept = self._modality
        if isinstance(voi, Table):
            item = lut_item(voi, recipe, recipe.voi, signed=self.range[0] < 0)
            dataset.VOILUTSequence = lut_sequence(item)
        elif voi is not None:
            function, center, width = voi
            several = recipe.voi == "several"
            dataset.WindowCenter, dataset.WindowWidth = ([center, 1], [width, 5]) if several else (center, width)
            if function != "LINEAR":
                dataset.VOILUTFunction = function
        if self.display.palette is not None:
            for element in palette_elements(recipe, self.display.palette):
                dataset[element.tag] = element

    def _cells(self) -> Cells:
        """The stored values in their cells, as unsigned numbers."""
        allocated, bits, high = self.recipe.layout
        cells = self.stored
        noise = np.random.default_rng(self.seed).integers(0, 2**allocated, cells.shape)
        low = high + 1 - bits
        if self.recipe.unused in ("zero", "noise"):
            cells = cells & (2**bits - 1)
        cells = cells << low
        if self.recipe.unused == "noise":
            cells |= noise & ~((2**bits - 1) << low)
        unsigned: Cells = (cells & (2**allocated - 1)).astype(f"u{max(allocated, 8) // 8}")
        return unsigned

    def _native(self, cells: Cells) -> DataElement:
        recipe = self.recipe
        if recipe.layout.allocated == 1:
            data = np.packbits(cells.ravel(), bitorder="little").tobytes()
        elif recipe.photometric == "YBR_FULL_422":  # Y, Y, Cb, Cr per two pixels: PS3.3 C.7.6.3.1.2
            pairs = cells.reshape(-1, 2, 3)
            data = np.stack([pairs[:, 0, 0], pairs[:, 1, 0], pairs[:, 0, 1], pairs[:, 0, 2]], axis=-1).tobytes()
        else:
            data = word_bytes(np.moveaxis(cells, -1, 1) if recipe.planar else cells, recipe)
        data += bytes(len(data) % 2)
        if recipe.pixel_vr == "OW" and recipe.layout.allocated <= 8:  # bytes in words of the file's byte order
            data = word_bytes(np.frombuffer(data, "<u2"), recipe)
        return DataElement("PixelData", recipe.pixel_vr, data)

    def _encapsulated(self, dataset: Dataset, cells: Cells) -> DataElement:
        """PS3.5 A.4. Adds an extended offset table to the data set if the recipe says so."""
        frames = [encode(frame, self.recipe) for frame in cells]
        fragments = [_in_parts(frame, self.recipe.fragments) for frame in frames]
        starts = np.cumsum([0, *(sum(8 + len(part) for part in parts) for parts in fragments[:-1])])
        table = starts.astype("<u4").tobytes() if self.recipe.offsets == "basic" else b""
        if self.recipe.offsets == "extended":
            dataset.ExtendedOffsetTable = starts.astype("<u8").tobytes()
            dataset.ExtendedOffsetTableLengths = np.array([len(frame) for frame in frames], "<u8").tobytes()
        items = [_item(table), *(_item(part) for parts in fragments for part in parts)]
        element = DataElement("PixelData", "OB", b"".join(items))
        element.is_undefined_length = True
        return element

    def _with_start(self, data: bytes) -> bytes:
        if self.recipe.file_start == "preamble":
            return data
        if self.recipe.file_start == "no preamble":
            return data[PREAMBLE_BYTES:]
        group_length = int.from_bytes(data[PREAMBLE_BYTES + 8 : PREAMBLE_BYTES + 12], "little")
        return data[PREAMBLE_BYTES + 12 + group_length :]


def _in_parts(frame: bytes, count: int) -> list[bytes]:
    size = -(-len(frame) // count)
    size += size % 2
    return [frame[start : start + size] for start in range(0, len(frame), size)]


def _item(data: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + len(data).to_bytes(4, "little") + data
