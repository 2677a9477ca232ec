"""What the judges of the DICOM matrix do otherwise than the standard says, or do not read. Each is explained."""

from pydicom import uid

from tests.support.image_files.dicom_matrix.recipes import GREY, HTJ2K, JPEG_2000, JPEG_LOSSY, JPEG_LS, Recipe
from tests.support.judges.verdicts import Difference

BYTES_IN_WORDS = (16, 8)

_LOSSY_JPEG = Difference[Recipe](
    "Decoders of lossy JPEG differ a little: ITU-T T.83 allows 1 per coefficient, and rescaling enlarges it.",
    lambda recipe: recipe.syntax in JPEG_LOSSY,
    at_most=5,
)

GDCM: tuple[Difference[Recipe], ...] = (
    _LOSSY_JPEG,
    Difference(
        "GDCM takes the lowest BitsStored bits of a cell. PS3.5 8.1.1 and PS3.3 C.7.6.3 (HighBit): the value ends at "
        "HighBit.",
        lambda recipe: recipe.layout.high != recipe.layout.stored - 1,
    ),
    Difference(
        "GDCM refuses fewer than 8 bits stored in 8 allocated. PS3.5 8.1.1 permits any number up to BitsAllocated.",
        lambda recipe: recipe.layout.allocated == 8 and recipe.layout.stored < 8,
    ),
    Difference(
        "GDCM clears the unused bits of 32-bit cells as if they were 16-bit cells. PS3.5 8.1.1: only bits above "
        "HighBit are unused.",
        lambda recipe: recipe.layout.allocated == 32 and recipe.layout.stored < 32,
    ),
    Difference(
        "GDCM reads packed bits only if a frame has whole bytes. PS3.5 8.1.1: frames follow without padding.",
        lambda recipe: recipe.layout.allocated == 1 and recipe.size[0] * recipe.size[1] % 8 > 0,
    ),
    Difference(
        "GDCM refuses 8-bit codestreams of lossy JPEG and JPEG-LS in 16 bits allocated. PS3.5 8.2.1 and 8.2.3: the "
        "codestream gives the bits of a sample.",
        lambda recipe: recipe.layout[:2] == BYTES_IN_WORDS and recipe.syntax in (*JPEG_LOSSY, uid.JPEGLSNearLossless),
    ),
    Difference(
        "GDCM confuses the segments of run-length encoded colours of 16 bits. PS3.5 G.2: the most significant byte of "
        "a sample comes first.",
        lambda recipe: recipe.syntax == uid.RLELossless and recipe.colour and recipe.layout.allocated == 16,
    ),
    Difference(
        "GDCM takes the scans of a JPEG-LS codestream with one per colour for interleaved pixels. PS3.5 8.2.3: the "
        "codestream says how colours are arranged, whatever Planar Configuration is.",
        lambda recipe: recipe.syntax in JPEG_LS and recipe.planar == 1,
    ),
)

DCMTK: tuple[Difference[Recipe], ...] = (
    _LOSSY_JPEG,
    Difference(
        "DCMTK has no decoder of JPEG 2000. The lossless ones are judged by the same stored values, uncompressed.",
        lambda recipe: recipe.syntax in (*JPEG_2000, *HTJ2K) and recipe.lossy,
    ),
    Difference(
        "DCMTK rounds rescaled values to integers, which shows if there are few of them. PS3.3 C.11.1.1.2: the output "
        "is m * SV + b, and m and b are decimal.",
        lambda recipe: recipe.modality == "fraction" and recipe.layout.stored <= 8,
    ),
    Difference(
        "DCMTK computes in 32-bit integers, which overflow. PS3.3 C.11.1.1.2 has no limit.",
        lambda recipe: recipe.layout.stored == 32 and recipe.photometric in GREY,
    ),
    Difference(
        "DCMTK refuses some JPEG-LS of fewer bits than are allocated, such as 6 in 8 and 8 in 16. PS3.5 8.2.3: the "
        "codestream gives the bits of a sample.",
        lambda recipe: (
            recipe.syntax in JPEG_LS and recipe.unused == "extended" and recipe.layout.stored < recipe.layout.allocated
        ),
    ),
)

SOURCE: tuple[Difference[Recipe], ...] = (
    Difference("The frame was encoded with loss.", lambda recipe: recipe.lossy, at_most=16),
)
