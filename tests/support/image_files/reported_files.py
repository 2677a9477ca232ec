"""The files of `tests/data/reported_files`, their right pictures, and the errors that some of them must get."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from model.errors import ImageDecodeError, ImageFormatUnsupported, InvalidInput
from model.imaging.rendering import AS_STORED, Rendering, Window

FOLDER = Path(__file__).parents[2] / "data" / "reported_files"
FILES = {file.name: file for file in sorted(FOLDER.glob("*/*.*"))}
PICTURES = {file.stem: file for file in sorted(FOLDER.glob("*/pictures/*.png"))}

# The pictures of volumes were made with these windows, so that each voxel has a grey value of its own in every slice.
_WINDOWS = {"n07": Window(500, 1000), "n09_bool_mask": Window(0.5, 1), "n": Window(127.5, 255)}
_LOSSLESS_TOLERANCE, _LOSSY_TOLERANCE = 1, 3  # grey levels; two JPEG decoders may differ by 3 after YBR to RGB
_LOSSY = ("c01_", "c02_", "i04_", "o01.avif", "t01_jpeg_rgb", "d21_ybr")


@dataclass(frozen=True)
class Refusal:
    """The error that a file must get.

    Attributes:
        error: its class.
        words: regular expression that the message matches.
    """

    error: type[InvalidInput]
    words: str


REFUSALS = {
    "c11_jpeg_called_explicit_le.dcm": Refusal(
        ImageDecodeError, "pixel data is compressed, its transfer syntax is not"
    ),
    "c11_native_called_rle.dcm": Refusal(ImageDecodeError, "transfer syntax is compressed, its pixel data is not"),
    "d23_cut_2_bytes.dcm": Refusal(ImageDecodeError, "cut short"),
    "d23_cut_half.dcm": Refusal(ImageDecodeError, "cut short"),
    "i04_progressive_cut.jpg": Refusal(ImageDecodeError, "cut short"),
    "n09_complex.nii": Refusal(ImageFormatUnsupported, "complex"),
    "o01.jxl": Refusal(ImageFormatUnsupported, "JPEG XL"),
}
"""Files without a right picture."""

MISSING_FRAMES = {
    "c08_says_5_frames_has_3.dcm": Refusal(ImageDecodeError, "fewer frames"),
    "d32_frames_3_data_1.dcm": Refusal(ImageDecodeError, "fewer frames"),
    "n11_cut_last_bytes.nii": Refusal(ImageDecodeError, "cut short"),
}
"""Files whose header announces more frames than they hold. Frames behind the last picture must get this error."""

DECISIONS: dict[str, tuple[str, Refusal | None]] = {
    "c01_jpeg_ybr_nomarker_called_rgb.dcm": ("nothing in the JPEG contradicts the header: RGB", None),
    "c03_ljpeg_ybr_called_rgb.dcm": ("nothing in the JPEG contradicts the header: RGB", None),
    "c05_j2k_signed_header_unsigned.dcm": ("the codestream says that the values are signed, and decides", None),
    "c07_jpeg_dims_swapped.dcm": (
        "header and codestream contradict each other: no guess",
        Refusal(ImageDecodeError, "Rows and Columns are swapped"),
    ),
    "c07_jpeg_padded_columns.dcm": ("columns of the codestream behind those of the header fill its last block", None),
    "c09_jpeg8_allocated_16_stored_12.dcm": ("the codestream has 8 bits, and decides", None),
    "d05_voi_lut_9_declared.dcm": ("white is the largest number with as many bits as the largest entry", None),
    "d05_voi_lut_narrower_than_declared.dcm": (
        "white is the largest number with as many bits as the largest entry",
        None,
    ),
    "d05_voi_lut_wider_than_declared.dcm": ("white is the largest number with as many bits as the largest entry", None),
    "d07_palette_16_low_byte.dcm": ("no entry is above 255: the entries have 8 bits, whatever is declared", None),
    "d09_intercept_without_slope.dcm": ("an absent slope is 1, so that the intercept alone applies", None),
    "d11_voi_function_unknown.dcm": ("an unknown VOI LUT function is LINEAR", None),
    "d13_narrow_window.dcm": ("a width below 1 is not valid for LINEAR: as if the window were absent", None),
    "d15_m1_identity.dcm": ("the presentation LUT shape has no effect", None),
    "d15_m2_inverse.dcm": ("the presentation LUT shape has no effect", None),
    "d21_ybr_full_422_but_full_length.dcm": ("the length says that no sample was left out: YBR_FULL", None),
    "d25_without_BitsStored.dcm": ("BitsStored is required", Refusal(ImageDecodeError, "BitsStored")),
    "d25_without_PhotometricInterpretation.dcm": (
        "PhotometricInterpretation is required",
        Refusal(ImageDecodeError, "PhotometricInterpretation"),
    ),
    "d25_without_PixelRepresentation.dcm": (
        "PixelRepresentation is required",
        Refusal(ImageDecodeError, "PixelRepresentation"),
    ),
    "d25_without_SamplesPerPixel.dcm": ("one sample per pixel unless the header says otherwise", None),
    "d26_padding_minus_2000_unsigned_12.dcm": ("padding is black although it lies outside BitsStored", None),
    "d26_padding_outside_bits_stored.dcm": ("padding is black although it lies outside BitsStored", None),
    "d32_frames_3_data_1.dcm": ("frames that are whole are shown", None),
    "i01_text_70mb_in_chunks.png": ("text is ignored, however long it would be", None),
    "i02_bad_crc_in_text.png": ("text is ignored, and so is its check sum", None),
    "i04_jpeg12.jpg": ("12 bits are grey values of more than 8 bits", None),
    "i04_no_eoi.jpg": ("all pixels are there: only the end marker is missing", None),
    "n02_quaternion_too_long.nii": ("the quaternion is made shorter", None),
    "n06_2d.nii": ("a volume of one slice", None),
    "n06_5d_singletons.nii": ("a volume: axes of length 1 do not count", None),
    "n06_5d_vector.nii": ("a volume of vectors", Refusal(ImageFormatUnsupported, "vectors or matrices")),
    "n08_slope_1_inter_nan.nii": ("an intercept that is not a number is 0", None),
    "n10_vox_offset_0.nii": ("the header ends at byte 352: the voxels start there", None),
    "n10_vox_offset_348.nii": ("the header ends at byte 352: the voxels start there", None),
    "n11_dim0_4_dim4_0.nii": ("a length of 0 counts as 1", None),
}
"""Files on which readers disagree: what this project does, and the error if it refuses the file."""


def refusal_of(name: str) -> Refusal | None:
    """The error that a file must get; None if it has a right picture."""
    return REFUSALS.get(name) or DECISIONS.get(name, ("", None))[1]


def rendering_of(name: str) -> Rendering:
    """How the right picture of a file was made."""
    windows = [window for prefix, window in _WINDOWS.items() if name.startswith(prefix)]
    return Rendering(window=windows[0]) if windows else AS_STORED


def tolerance_of(name: str) -> int:
    """The largest allowed difference from the right picture, in grey levels."""
    return _LOSSY_TOLERANCE if name.startswith(_LOSSY) else _LOSSLESS_TOLERANCE


def pictures_of(name: str, *, height: int) -> list[NDArray[np.uint8]]:
    """The right pictures of a file's frames, (height, W, 3) each. In their PNG file they stand one below the other."""
    with Image.open(PICTURES[name]) as image:
        stack = np.asarray(image.convert("RGB"))
    assert len(stack) % height == 0
    return [stack[start : start + height] for start in range(0, len(stack), height)]
