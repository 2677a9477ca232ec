"""Training rows as samples: one decoded, varied image per draw, with the numbers of its text and its label."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch.utils.data import Dataset

from model.data.manifest import Row
from model.errors import InvalidInput, TrainingError
from model.imaging.rendering import AS_STORED, Rendering
from model.training.batches.augmentation import Augmentation
from model.training.batches.sampling import Draw
from model.training.losses import NO_LABEL

MOST_TRIES = 20  # consecutive unreadable images before a draw fails


@dataclass(frozen=True)
class Sample:
    """One image with its text and label.

    Attributes:
        pixels: (H, W, 3) uint8.
        label: number of the label; `NO_LABEL` if the row has none.
        text: index into `TrainingSet.texts`.
        unreadable: numbers of the rows that were drawn first but have an unreadable image.
    """

    pixels: NDArray[np.uint8]
    label: int
    text: int
    unreadable: tuple[int, ...]


class TrainingSet(Dataset[Sample]):
    """Samples by draw.

    Args:
        rows: rows with at least one text each.
        image_size: height and width of the model's images, in pixels.
        fill: RGB colour of erased rectangles.
        augmentation: random changes of an image.
        rendering: which picture of an image file, its window and contrast; default: the usual ones.
        cache_pixels: longest side, in pixels, of the decoded images that are kept in memory; 0 keeps none.
        strict: True if an unreadable image ends the training. False if the image of the next row replaces it.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        image_size: tuple[int, int],
        fill: tuple[int, int, int],
        augmentation: Augmentation,
        *,
        rendering: Rendering = AS_STORED,
        cache_pixels: int = 0,
        strict: bool = False,
    ) -> None:
        self.rows, self.texts = rows, list(dict.fromkeys(text for row in rows for text in row.texts))
        numbers = {text: number for number, text in enumerate(self.texts)}
        labels = {label: number for number, label in enumerate(dict.fromkeys(row.label for row in rows if row.label))}
        self._row_texts = [[numbers[text] for text in row.texts] for row in rows]
        self._labels = [labels.get(row.label, NO_LABEL) for row in rows]
        self._image_size, self._fill, self._augmentation = image_size, fill, augmentation
        self._rendering, self._cache_pixels, self._strict = rendering, cache_pixels, strict
        self._cache: dict[int, Image.Image] = {}

    def __getitem__(self, draw: Draw) -> Sample:
        index, image, unreadable = self._readable(draw.row)
        label, texts = self._labels[index], self._row_texts[index]
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(draw.seed)
            text = texts[int(torch.randint(len(texts), ()))]
            pixels = self._augmentation(image, self._image_size, self._fill)
        return Sample(pixels, label, text, unreadable)

    def fill_cache(self) -> None:
        """Decode all images now. Unreadable ones are skipped; they are reported when they are drawn."""
        for index in range(len(self.rows)):
            try:
                self._image(index)
            except (InvalidInput, OSError):
                continue

    def _readable(self, index: int) -> tuple[int, Image.Image, tuple[int, ...]]:
        """The first row with a readable image from `index` on, its image, and the numbers of the rows before it."""
        unreadable: list[int] = []
        for _ in range(MOST_TRIES):
            try:
                return index, self._image(index), tuple(unreadable)
            except (InvalidInput, OSError) as error:
                number = self.rows[index].number
                if self._strict:
                    raise TrainingError(f"row {number}: {error}") from error
                unreadable.append(number)
                index = (index + 1) % len(self.rows)
        raise TrainingError(f"{MOST_TRIES} consecutive images cannot be read, starting at row {unreadable[0]}")

    def _image(self, index: int) -> Image.Image:
        if cached := self._cache.get(index):
            return cached
        image = self.rows[index].decode(self._rendering)
        if image.mode not in ("L", "RGB"):
            image = image.convert("RGB")
        if self._cache_pixels:
            longest = max(image.size)
            if longest > self._cache_pixels:
                width, height = (max(1, round(pixels * self._cache_pixels / longest)) for pixels in image.size)
                image = image.resize((width, height), Image.Resampling.BICUBIC)
            self._cache[index] = image
        return image
