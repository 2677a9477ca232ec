"""Size limits of images and volumes, and the errors for files that exceed them."""

from model.errors import ImageTooLarge

MAX_PIXELS = 89_478_485  # Pillow's default limit against decompression bombs: Image.open warns above it
DECODED_BYTES_PER_PIXEL = 4  # of the limit of pixels: RGBA of 8 bits, grey of 32 bits, grey JPEG 2000
LEAST_DECODED_BYTES = 2**26  # allowed whatever the limit of pixels: a low one refuses no deep picture that is small
MAX_VOLUME_BYTES = 256 * 2**20  # uncompressed
MAX_FRAMES_PIXELS = 2**29  # of all frames of a file that are decoded for one request: a hundred of 2000x2500 pixels
MAX_TIFF_PAGES = 50_000  # in one file
MAX_STANDARDIZATION_SIZE = 4096  # pixels per side, so 50 MB per image
MAX_JPEG_QUALITY = 95  # Pillow's documentation advises against larger values


def too_many_pixels(max_pixels: int) -> ImageTooLarge:
    """The error for a picture of more than `max_pixels`."""
    return ImageTooLarge(f"the image has more than {max_pixels:,} pixels, which is the limit; send a smaller image")


def check_decoded_bytes(decoded_bytes: float, max_pixels: int) -> None:
    """Raise ImageTooLarge if the decoder of a picture would hold too many bytes.

    The limit is `DECODED_BYTES_PER_PIXEL` for each allowed pixel, and at least `LEAST_DECODED_BYTES`.

    Args:
        decoded_bytes: samples per pixel, times bytes per sample as the decoder holds them, times pixels.
        max_pixels: limit for one picture.
    """
    limit = max(DECODED_BYTES_PER_PIXEL * max_pixels, LEAST_DECODED_BYTES)
    if decoded_bytes > limit:
        raise ImageTooLarge(
            f"the image takes more than {limit:,} bytes while it is decoded, which is the limit; send a smaller image, "
            "or one of fewer bits or colours"
        )


def volume_too_large() -> ImageTooLarge:
    """The error for a compressed volume of more than `MAX_VOLUME_BYTES`."""
    return ImageTooLarge(f"the volume has more than {MAX_VOLUME_BYTES:,} bytes uncompressed; send one slice of it")


def too_many_frame_pixels() -> ImageTooLarge:
    """The error for a file whose frames have together more than `MAX_FRAMES_PIXELS`."""
    return ImageTooLarge(
        f"the frames of the image have together more than {MAX_FRAMES_PIXELS:,} pixels, which is the limit; choose one "
        "with params.frame"
    )
