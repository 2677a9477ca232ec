"""Changes of the contrast of an 8-bit picture, whatever file it comes from."""

from PIL import Image, ImageOps

from model.imaging.rendering import Contrast

_GREY_MODES = ("1", "L", "LA", "La")


def change_contrast(picture: Image.Image, contrast: Contrast) -> Image.Image:
    """Change the contrast of a decoded picture, after its window and before its standardisation.

    "equalize" is the histogram equalisation of Pillow (`PIL.ImageOps.equalize`) of a grey picture, and of each channel
    of a colour picture. Every pixel counts, black ones too. The model card of MedImageInsight names histogram
    equalisation as the first step for bone-age radiographs; its exact recipe is not published.

    Args:
        picture: a picture of any mode of at most 8 bits per channel.
        contrast: none returns the picture itself.

    Returns:
        An equalised picture is "L" or "RGB", without alpha.
    """
    if contrast == "none":
        return picture
    if picture.mode not in ("L", "RGB"):
        picture = grey_or_rgb(picture)  # drops the original: each copy may have 256 MB
    return ImageOps.equalize(picture)


def grey_or_rgb(picture: Image.Image) -> Image.Image:
    """The picture in the mode L if it is grey, else in RGB, without alpha, as the encoder's input is converted."""
    return picture.convert("L" if picture.mode in _GREY_MODES else "RGB")
