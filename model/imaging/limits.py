"""Size limits of images and volumes, and the errors for files that exceed them."""

from model.errors import ImageTooLarge

MAX_PIXELS = 89_478_485  # Pillow's default limit against decompression bombs: Image.open warns above it
MAX_VOLUME_BYTES = 256 * 2**20  # uncompressed
MAX_FRAMES_PIXELS = 2**29  # of all frames of a file that are decoded for one request: a hundred of 2000x2500 pixels
MAX_TIFF_PAGES = 50_000  # in one file


def too_many_pixels(max_pixels: int) -> ImageTooLarge:
    """The error for a picture of more than `max_pixels`."""
    return ImageTooLarge(f"the image has more than {max_pixels:,} pixels, which is the limit; send a smaller image")


def volume_too_large() -> ImageTooLarge:
    """The error for a compressed volume of more than `MAX_VOLUME_BYTES`."""
    return ImageTooLarge(f"the volume has more than {MAX_VOLUME_BYTES:,} bytes uncompressed; send one slice of it")


def too_many_frame_pixels() -> ImageTooLarge:
    """The error for a file whose frames have together more than `MAX_FRAMES_PIXELS`."""
    return ImageTooLarge(
        f"the frames of the image have together more than {MAX_FRAMES_PIXELS:,} pixels, which is the limit; choose one "
        "with params.frame"
    )
