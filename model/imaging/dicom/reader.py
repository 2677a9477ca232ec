"""Reader of DICOM files: checks the header, decodes one frame.

Error messages contain nothing of a header except the names of its SOP class and transfer syntax.
"""

from PIL import Image
from pydicom.uid import DeflatedExplicitVRLittleEndian

from model.imaging.dicom import frames
from model.imaging.dicom.functional_groups import FunctionalGroups
from model.imaging.dicom.header import Header, read_header
from model.imaging.dicom.pixel_data.reader import PixelData
from model.imaging.dicom.pixels import render_frame
from model.imaging.rendering import Rendering


def open_file(data: bytes, *, max_pixels: int) -> "DicomFile":
    """Read and check the header; no pixel is decoded.

    Raises:
        ImageDecodeError, ImageFormatUnsupported, ImageTooLarge: as `model.imaging.dicom.header.read_header`.
    """
    return DicomFile(read_header(data, max_pixels), max_pixels)


class DicomFile:
    """A `model.imaging.formats.ImageFile`: a DICOM file whose header has been read."""

    def __init__(self, header: Header, max_pixels: int) -> None:
        self._dataset = header.dataset
        self._groups = FunctionalGroups(header.dataset)
        self.inflates = header.file.syntax == DeflatedExplicitVRLittleEndian
        self._pixel_data = PixelData(
            header.file,
            header.element,
            header.image,
            frame_count=frames.count(header.dataset),
            extended_offsets=frames.extended_offsets(header.dataset),
            max_pixels=max_pixels,
        )

    def frame_count(self, rendering: Rendering) -> int:  # noqa: ARG002 (same in all readers)
        """The number of frames that the header announces."""
        return frames.count(self._dataset)

    def check(self, rendering: Rendering) -> None:
        """Raise ImageDecodeError if the header does not announce the requested frame."""
        frames.choose(self._dataset, rendering)

    def decode(self, rendering: Rendering) -> Image.Image:
        """Decode one frame to an 8-bit picture, "L" or "RGB".

        `model.imaging.dicom.pixels` describes how stored values become greys or colours.

        Raises:
            ImageDecodeError: the pixel data is damaged or contradicts the header, or the frame is missing.
            ImageFormatUnsupported: the pixel data is a variant that is not read.
            ImageTooLarge: the compressed frame has more pixels than the limit.
        """
        index = frames.choose(self._dataset, rendering)
        stored = self._pixel_data.frame(index)
        dataset = self._groups.header(index)
        pixels = render_frame(stored.values, dataset, rendering.window, cells=stored.cells, is_lossy=stored.is_lossy)
        return Image.fromarray(pixels)
