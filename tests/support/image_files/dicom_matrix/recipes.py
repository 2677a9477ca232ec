"""The parameters of a DICOM file in the matrix."""

from dataclasses import dataclass, replace
from typing import NamedTuple

from pydicom import uid

NATIVE = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    uid.DeflatedExplicitVRLittleEndian,
)
JPEG_LOSSY = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit)
JPEG_LOSSLESS = (uid.JPEGLossless, uid.JPEGLosslessSV1)
JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
JPEG_2000 = (uid.JPEG2000Lossless, uid.JPEG2000)
HTJ2K = (uid.HTJ2KLossless, uid.HTJ2KLosslessRPCL, uid.HTJ2K)
SYNTAXES = (*NATIVE, uid.RLELossless, *JPEG_LOSSY, *JPEG_LOSSLESS, *JPEG_LS, *JPEG_2000, *HTJ2K)
LOSSY = (*JPEG_LOSSY, uid.JPEGLSNearLossless, uid.JPEG2000, uid.HTJ2K)
GREY = ("MONOCHROME1", "MONOCHROME2")
CODED_AS_RGB = ("YBR_RCT", "YBR_ICT")  # the codestream's transformation makes RGB of them
VOI_WINDOWS = ("LINEAR", "LINEAR_EXACT", "SIGMOID", "width 1", "several")
LUTS = ("8 packed", "8 words", "12", "16")
PALETTES = ("8 packed", "8 words", "16", "8 segmented", "16 segmented")


class Layout(NamedTuple):
    """BitsAllocated, BitsStored and HighBit."""

    allocated: int
    stored: int
    high: int


@dataclass(frozen=True)
class Recipe:
    """One file.

    Args:
        syntax: UID of the transfer syntax.
        photometric: photometric interpretation, as the header says it.
        layout: bits allocated, bits stored, high bit.
        signed: PixelRepresentation is 1.
        unused: bits of a cell beside the stored ones: "extended" repeats the sign; "zero" and "noise" as named. A
            codestream has the precision of the stored bits if "extended", otherwise of the cell ("cell": the sign is
            repeated).
        planar: PlanarConfiguration. In JPEG-LS, where that is always 0: 1 codes one scan per colour.
        size: rows and columns.
        frames: NumberOfFrames.
        pixel_vr: VR of native pixel data.
        offsets: offset table of encapsulated frames: "basic", "empty" or "extended".
        fragments: fragments per frame.
        file_start: "preamble", "no preamble" (File Meta Information first), or "bare" (the data set alone).
        modality: "none", a kind of rescaling, or a modality LUT of `LUTS`.
        voi: "none", one of `VOI_WINDOWS`, or a VOI LUT of `LUTS`.
        palette: one of `PALETTES`, or "none".
        lut_vr: VR of the data of modality and VOI LUTs.
        lut_first: first input of all lookup tables: the "lowest" possible value, or one "inside".
        padding: "none", "value" or "range".
        groups: functional groups that hold rescaling and window: "none" (top level), "shared" or "per frame".
        structure: "plain", "undefined lengths" of sequences, "unknown elements", or "trailing padding".
    """

    syntax: str
    photometric: str
    layout: Layout
    signed: bool
    unused: str
    planar: int
    size: tuple[int, int]
    frames: int
    pixel_vr: str
    offsets: str
    fragments: int
    file_start: str
    modality: str
    voi: str
    palette: str
    lut_vr: str
    lut_first: str
    padding: str
    groups: str
    structure: str

    @property
    def lossy(self) -> bool:
        return self.syntax in LOSSY

    @property
    def encapsulated(self) -> bool:
        return self.syntax not in NATIVE

    @property
    def colour(self) -> bool:
        """Three samples per pixel."""
        return self.photometric not in (*GREY, "PALETTE COLOR")

    @property
    def lowest(self) -> int:
        """The lowest stored value that the layout can hold."""
        return -(2 ** (self.layout.stored - 1)) if self.signed else 0

    def uncompressed(self) -> "Recipe":
        """The same stored values, uncompressed."""
        photometric = "RGB" if self.photometric in CODED_AS_RGB else self.photometric
        pixel_vr = "OB" if self.layout.allocated <= 8 else "OW"
        unused = "extended" if self.unused == "cell" else self.unused
        return replace(
            self, syntax=uid.ExplicitVRLittleEndian, photometric=photometric, pixel_vr=pixel_vr, unused=unused,
            offsets="none", fragments=1,
        )  # fmt: skip
