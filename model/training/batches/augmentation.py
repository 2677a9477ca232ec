"""Random changes of training images that keep the finding visible.

By default no image is flipped, because left or right is part of a finding. All random numbers come from torch's global
generator; `TrainingSet` seeds it for each image.
"""

import io
import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps

from model.training.options import EXTRA_AUGMENTATIONS, AugmentationOptions


@dataclass(frozen=True)
class Augmentation(AugmentationOptions):
    """Random changes of images, with the probabilities and ranges of its fields."""

    def __call__(self, image: Image.Image, size: tuple[int, int], fill: tuple[int, int, int]) -> NDArray[np.uint8]:
        """Change an image at random.

        Args:
            image: image of mode "L" or "RGB".
            size: height and width of the result, in pixels.
            fill: RGB colour of an erased rectangle.

        Returns:
            (height, width, 3) uint8.
        """
        for name in EXTRA_AUGMENTATIONS:
            if _happens(self.extra.get(name, 0.0)):
                image = _EXTRA[name](image)
        height, width = size
        image = image.resize((width, height), Image.Resampling.BICUBIC, box=self._crop_box(image)).convert("RGB")
        if _happens(self.horizontal_flip):
            image = ImageOps.mirror(image)
        if _happens(self.vertical_flip):
            image = ImageOps.flip(image)
        if self.trivial_augment:
            image = self._trivial_augment(image)
        pixels = np.array(image)
        if _happens(self.erase):
            _erase(pixels, fill)
        return pixels

    @cached_property
    def _trivial_augment(self) -> Any:
        from torchvision.transforms import v2

        return v2.TrivialAugmentWide(interpolation=v2.InterpolationMode.BILINEAR)

    def _crop_box(self, image: Image.Image) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of a random crop, in pixels. A ratio of 1 is that of the image's sides."""
        width, height = 1.0, 1.0
        for _ in range(10):
            area = _uniform(self.crop_area, 1)
            ratio = math.exp(_uniform(-math.log(self.crop_ratio), math.log(self.crop_ratio)))
            if (area * ratio) ** 0.5 <= 1 and (area / ratio) ** 0.5 <= 1:
                width, height = (area * ratio) ** 0.5, (area / ratio) ** 0.5
                break
        left, top = _uniform(0, 1 - width), _uniform(0, 1 - height)
        right, bottom = min(1.0, left + width), min(1.0, top + height)
        return left * image.width, top * image.height, right * image.width, bottom * image.height


def _uniform(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _happens(probability: float) -> bool:
    return probability > 0 and float(torch.rand(())) < probability


def _rotate(image: Image.Image) -> Image.Image:
    """Rotate by at most 15 degrees, like another position of the probe or the patient. The corners become black."""
    return image.rotate(_uniform(-15, 15), Image.Resampling.BILINEAR)


def _rescale(image: Image.Image) -> Image.Image:
    """Scale down and up again, like an image from a device with lower resolution, or a thumbnail."""
    share = _uniform(0.3, 0.9)
    kernels = (Image.Resampling.BILINEAR, Image.Resampling.BICUBIC, Image.Resampling.LANCZOS, Image.Resampling.BOX)
    down, up = kernels[int(torch.randint(4, ()))], kernels[int(torch.randint(3, ()))]
    small = image.resize((max(8, round(image.width * share)), max(8, round(image.height * share))), down)
    return small.resize(image.size, up)


def _blur(image: Image.Image) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(_uniform(0.3, 1.5) * max(image.size) / 128))


def _noise(image: Image.Image) -> Image.Image:
    values = np.asarray(image, np.float32)
    noise = torch.randn(values.shape).mul_(_uniform(2, 12)).numpy()
    return _to_image(values + noise)


def _jpeg(image: Image.Image) -> Image.Image:
    stream = io.BytesIO()
    image.save(stream, format="JPEG", quality=int(_uniform(40, 95)))
    return Image.open(stream, formats=("JPEG",))


def _window(image: Image.Image) -> Image.Image:
    """Change the window (range of grey values) and the gamma."""
    values = np.asarray(image, np.float32) / 255
    low, high = _uniform(-0.25, 0.25), _uniform(0.75, 1.25)
    windowed = np.clip((values - low) / (high - low), 0, 1) ** math.exp(_uniform(-0.5, 0.5))
    floor, ceiling = _uniform(0, 0.15), _uniform(0.85, 1)
    return _to_image((floor + windowed * (ceiling - floor)) * 255)


def _gray(image: Image.Image) -> Image.Image:
    return image.convert("L")


def _to_image(values: NDArray[np.floating[Any]]) -> Image.Image:
    return Image.fromarray(np.rint(np.clip(values, 0, 255)).astype(np.uint8))


_EXTRA = {
    "rotate": _rotate,
    "rescale": _rescale,
    "blur": _blur,
    "noise": _noise,
    "jpeg": _jpeg,
    "window": _window,
    "invert": ImageOps.invert,
    "gray": _gray,
}


def _erase(pixels: NDArray[np.uint8], fill: tuple[int, int, int]) -> None:
    """Fill one rectangle of 2 to 33 % of the area in place (Zhong et al. 2020, arXiv:1708.04896)."""
    height, width = pixels.shape[:2]
    for _ in range(10):
        area = _uniform(0.02, 0.33) * height * width
        ratio = math.exp(_uniform(math.log(0.3), math.log(3.3)))
        rows, columns = round((area * ratio) ** 0.5), round((area / ratio) ** 0.5)
        if rows < height and columns < width:
            top, left = int(_uniform(0, height - rows + 1)), int(_uniform(0, width - columns + 1))
            pixels[top : top + rows, left : left + columns] = fill
            return
