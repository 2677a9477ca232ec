"""Rows to batches: images decoded, varied and stacked, with one of their texts."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from model.data.manifest import Row
from model.encoders.tokenizer import Tokenizer
from model.errors import InvalidInput, TrainingError
from model.imaging.preprocessing import preprocess
from model.training.batches.augmentation import Augmentation
from model.training.batches.sampling import BatchSampler, Draw
from model.training.losses import NO_LABEL

MOST_TRIES = 20  # rows tried one after the other before a draw is given up


@dataclass(frozen=True)
class Sample:
    pixels: NDArray[np.uint8]  # H, W, 3
    label: int
    text: int
    unreadable: tuple[int, ...]  # numbers of the rows that were tried before


@dataclass(frozen=True)
class Batch:
    """A batch, or one rank's part of it."""

    pixels: Tensor  # B, H, W, 3 uint8
    labels: Tensor  # B; see model.training.losses.positive_pairs
    texts: Tensor  # B; numbers into TrainingSet.texts
    unreadable: tuple[int, ...]  # numbers of rows whose image could not be read, and others stand in for

    def pin_memory(self) -> "Batch":
        return Batch(self.pixels.pin_memory(), self.labels.pin_memory(), self.texts.pin_memory(), self.unreadable)


class TrainingSet(Dataset[Sample]):
    """The rows as the trainer sees them: by draw, with texts and labels numbered."""

    def __init__(
        self,
        rows: Sequence[Row],
        image_size: tuple[int, int],
        fill: tuple[int, int, int],
        augmentation: Augmentation | None,
        *,
        cache_pixels: int = 0,
        strict: bool = False,
    ) -> None:
        """Args:
        rows: with at least one text each.
        image_size: height and width that the model takes.
        fill: the colour of what is erased.
        augmentation: what happens to an image; None leaves it as the service sees it, with its row's first text.
        cache_pixels: keep decoded images in memory, their longest side at most this; 0 keeps none.
        strict: an unreadable image ends the training, instead of being replaced by the next row's.
        """
        self.rows, self.texts = rows, list(dict.fromkeys(text for row in rows for text in row.texts))
        numbers = {text: number for number, text in enumerate(self.texts)}
        labels = {label: number for number, label in enumerate(dict.fromkeys(row.label for row in rows if row.label))}
        self._row_texts = [[numbers[text] for text in row.texts] for row in rows]
        self._labels = [labels.get(row.label, NO_LABEL) for row in rows]
        self._image_size, self._fill, self._augmentation = image_size, fill, augmentation
        self._cache_pixels, self._strict = cache_pixels, strict
        self._cache: dict[int, Image.Image] = {}

    def __getitem__(self, draw: Draw) -> Sample:
        index, unreadable = draw.row, []
        for _ in range(MOST_TRIES):
            try:
                image = self._image(index)
                break
            except (InvalidInput, OSError) as error:
                number = self.rows[index].number
                if self._strict:
                    raise TrainingError(f"row {number}: {error}") from error
                unreadable.append(number)
                index = (index + 1) % len(self.rows)
        else:
            raise TrainingError(f"{MOST_TRIES} images one after the other cannot be read, from row {unreadable[0]} on")
        if self._augmentation is None:
            pixels = preprocess(image, self._image_size, None)
            return Sample(pixels, self._labels[index], self._row_texts[index][0], tuple(unreadable))
        with torch.random.fork_rng(devices=[]):
            torch.default_generator.manual_seed(draw.seed)
            texts = self._row_texts[index]
            text = texts[int(torch.randint(len(texts), ()))]
            pixels = self._augmentation(image, self._image_size, self._fill)
        return Sample(pixels, self._labels[index], text, tuple(unreadable))

    def fill_cache(self) -> None:
        """Decode everything now; unreadable images are met again when they are drawn."""
        for index in range(len(self.rows)):
            try:
                self._image(index)
            except (InvalidInput, OSError):
                continue

    def _image(self, index: int) -> Image.Image:
        if cached := self._cache.get(index):
            return cached
        image = self.rows[index].decode()
        if image.mode not in ("L", "RGB"):
            image = image.convert("RGB")
        if self._cache_pixels:
            longest = max(image.size)
            if longest > self._cache_pixels:
                sides = [max(1, round(side * self._cache_pixels / longest)) for side in image.size]
                image = image.resize((sides[0], sides[1]), Image.Resampling.BICUBIC)
            self._cache[index] = image
        return image


def collate(samples: Sequence[Sample]) -> Batch:
    pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))
    labels = torch.tensor([sample.label for sample in samples])
    texts = torch.tensor([sample.text for sample in samples])
    return Batch(pixels, labels, texts, tuple(number for sample in samples for number in sample.unreadable))


def load_batches(
    training_set: TrainingSet, sampler: BatchSampler, *, workers: int, pin_memory: bool
) -> "DataLoader[Sample]":
    """The sampler's batches, made by `workers` processes, or in this one if 0."""
    return DataLoader(
        training_set, batch_sampler=sampler, num_workers=workers, collate_fn=collate, pin_memory=pin_memory
    )


class TextBatcher:
    """Texts to padded token ids; what was tokenised is remembered."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenize = lru_cache(maxsize=100_000)(tokenizer)

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Returns `input_ids` and `attention_mask`, (B, longest), as `TextEncoder.forward` takes them."""
        token_ids = [self._tokenize(text) for text in texts]
        longest = max(map(len, token_ids))
        input_ids = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in token_ids])
        attention_mask = torch.arange(longest) < torch.tensor([len(ids) for ids in token_ids])[:, None]
        return input_ids, attention_mask


class Normaliser:
    """Stacked pixels (B, H, W, 3) uint8 to what the image encoder takes, (B, 3, H, W) float32, channels last."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(std, device=device).view(1, 3, 1, 1) * 255
        self._device = device

    def __call__(self, pixels: Tensor) -> Tensor:
        uploaded = pixels.to(self._device, non_blocking=True)
        return uploaded.permute(0, 3, 1, 2).float().sub_(self._mean).div_(self._std)
