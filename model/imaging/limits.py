"""Size limits of images and volumes, and the errors for files that exceed them."""

from model.errors import ImageTooLarge

MAX_PIXELS = 89_478_485  # Pillow's default limit against decompression bombs: Image.open warns above it
MAX_VOLUME_BYTES = 256 * 2**20  # uncompressed


def too_many_pixels(max_pixels: int) -> ImageTooLarge:
    """The error for a picture of more than `max_pixels`."""
    return ImageTooLarge(f"the image has more than {max_pixels:,} pixels, which is the limit; send a smaller image")


def volume_too_large() -> ImageTooLarge:
    """The error for a volume of more than `MAX_VOLUME_BYTES`."""
    return ImageTooLarge(f"the volume has more than {MAX_VOLUME_BYTES:,} bytes uncompressed; send one slice of it")
