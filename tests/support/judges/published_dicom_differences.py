"""What the judges of published DICOM files do otherwise than the standard says, or do not read. Each is explained."""

from collections.abc import Callable, Container

from pydicom.uid import (
    JPEG2000,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    RLELossless,
)

from tests.support.image_files.published_dicom import PublishedFile
from tests.support.judges.published_dicom import header_of
from tests.support.judges.verdicts import Difference

Published = Difference[PublishedFile]


def _encoded_as(*syntaxes: str) -> Callable[[PublishedFile], bool]:
    return lambda file: header_of(file).file_meta.get("TransferSyntaxUID") in syntaxes


def _named(*names: str) -> Callable[[PublishedFile], bool]:
    return lambda file: file.name in names


def _colours_of(bits: Container[int]) -> Callable[[PublishedFile], bool]:
    def applies(file: PublishedFile) -> bool:
        header = header_of(file)
        return header.SamplesPerPixel == 3 and header.BitsAllocated in bits

    return applies


_LOSSY_JPEG = Difference(
    "Decoders of lossy JPEG differ a little. ITU-T T.83 allows 1 per coefficient, and T.81 does not say how "
    "chrominance of half the size is enlarged.",
    _encoded_as(JPEGBaseline8Bit, JPEGExtended12Bit),
    at_most=5,
)
_MARKED_RGB = Difference(
    "GDCM and DCMTK convert a lossless JPEG because the header says YBR_FULL. Its Adobe segment says RGB (ITU-T T.872 "
    "6.5.3), and so does the collection's original.",
    _named("JPEG_Lossless,_Non-Hierarchical_(Process_14)-YBR-8.jpg"),
)

GDCM: tuple[Published, ...] = (
    _LOSSY_JPEG,
    _MARKED_RGB,
    Difference(
        "GDCM confuses the segments of run-length encoded colours of 16 and 32 bits. PS3.5 G.2: the most significant "
        "byte of a sample comes first.",
        lambda file: _encoded_as(RLELossless)(file) and _colours_of((16, 32))(file),
    ),
    Difference(
        "GDCM does not find the pixel data: the length of the element before is wrong. Its pictures are those of "
        "emri_small_jpeg_2k_lossless.dcm.",
        _named("emri_small_jpeg_2k_lossless_too_short.dcm"),
    ),
)

DCMTK: tuple[Published, ...] = (
    Difference("DCMTK has no decoder of JPEG 2000.", _encoded_as(JPEG2000, JPEG2000Lossless)),
    _LOSSY_JPEG,
    _MARKED_RGB,
    Difference(
        "DCMTK refuses native colours of 32 bits with the VR OB. PS3.5 A.2 asks for OW; other readers do not insist.",
        lambda file: not _encoded_as(RLELossless)(file) and _colours_of((32,))(file),
    ),
    Difference(
        "DCMTK reads no segmented palettes (PS3.3 C.7.9.2).",
        _named("gdcm-US-ALOKA-16.dcm", "gdcm-US-ALOKA-16_big.dcm"),
    ),
    Difference(
        "DCMTK ignores supplemental palettes (PS3.3 C.7.6.19): grey where Pixel Presentation is COLOR.",
        _named("eCT_Supplemental.dcm"),
    ),
    Difference(
        "DCMTK reads no implicit VR under an encapsulated transfer syntax. PS3.5 A.4 asks for explicit VR.",
        _named("SC_rgb_jpeg.dcm"),
    ),
)

ORIGINAL: tuple[Published, ...] = (
    Difference(
        "The frame was encoded with loss, with a quality of 95.",
        _encoded_as(JPEGBaseline8Bit, JPEGExtended12Bit, JPEG2000),
        at_most=16,
    ),
)
