"""Batches of samples, and their conversion to the inputs of the encoders."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from model.encoders.tokenizer import Tokenizer
from model.training.batches.sampling import BatchSampler
from model.training.batches.training_set import Sample, TrainingSet

CACHED_TEXTS = 100_000


@dataclass(frozen=True)
class Batch:
    """A batch, or one process's part of it.

    Attributes:
        pixels: (B, H, W, 3) uint8.
        labels: (B,) int64, label numbers; see `model.training.losses.positive_pairs`.
        texts: (B,) int64, indices into `TrainingSet.texts`.
        unreadable: numbers of the rows with an unreadable image, which other rows replace.
    """

    pixels: Tensor
    labels: Tensor
    texts: Tensor
    unreadable: tuple[int, ...]

    def pin_memory(self) -> "Batch":
        """The batch in page-locked memory; the data loader calls this method by its name."""
        return Batch(self.pixels.pin_memory(), self.labels.pin_memory(), self.texts.pin_memory(), self.unreadable)


def collate(samples: Sequence[Sample]) -> Batch:
    """Stack samples into a batch."""
    pixels = torch.from_numpy(np.stack([sample.pixels for sample in samples]))
    labels = torch.tensor([sample.label for sample in samples])
    texts = torch.tensor([sample.text for sample in samples])
    return Batch(pixels, labels, texts, tuple(number for sample in samples for number in sample.unreadable))


def load_batches(
    training_set: TrainingSet, sampler: BatchSampler, *, workers: int, pin_memory: bool
) -> "DataLoader[Sample]":
    """Load the batches of a sampler.

    Args:
        training_set: the samples.
        sampler: the draws of each batch.
        workers: number of processes that load; 0 loads in this process.
        pin_memory: whether batches are in page-locked memory, which makes copies to a GPU faster.
    """
    return DataLoader(
        training_set, batch_sampler=sampler, num_workers=workers, collate_fn=collate, pin_memory=pin_memory
    )


class TextBatcher:
    """Converts texts to padded token ids; tokenised texts are cached."""

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenize = lru_cache(maxsize=CACHED_TEXTS)(tokenizer)

    def __call__(self, texts: Sequence[str]) -> tuple[Tensor, Tensor]:
        """`input_ids` and `attention_mask`, (B, longest) each, as `TextEncoder.forward` takes them."""
        token_ids = [self._tokenize(text) for text in texts]
        longest = max(map(len, token_ids))
        input_ids = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in token_ids])
        attention_mask = torch.arange(longest) < torch.tensor([len(ids) for ids in token_ids])[:, None]
        return input_ids, attention_mask


class Normaliser:
    """Converts stacked pixels to the input of the image encoder.

    Args:
        mean: mean of each channel, for values from 0 to 1.
        std: standard deviation of each channel, for values from 0 to 1.
        device: device of the result.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], device: torch.device) -> None:
        self._mean = torch.tensor(mean, device=device).view(1, 3, 1, 1) * 255
        self._std = torch.tensor(std, device=device).view(1, 3, 1, 1) * 255
        self._device = device

    def __call__(self, pixels: Tensor) -> Tensor:
        """From (B, H, W, 3) uint8 to (B, 3, H, W) float32, with the channels last in memory."""
        uploaded = pixels.to(self._device, non_blocking=True)
        return uploaded.permute(0, 3, 1, 2).float().sub_(self._mean).div_(self._std)
