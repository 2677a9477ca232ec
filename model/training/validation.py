"""Validation during a training: loss and zero-shot accuracy on held-out rows."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from model.data.manifest import Row
from model.encoders.medimageinsight import MedImageInsight
from model.errors import InvalidInput, TrainingError
from model.imaging.preprocessing import Preprocessing, preprocess
from model.training.batches.loader import Normaliser, TextBatcher
from model.training.distributed import World
from model.training.losses import NO_LABEL, positive_pairs, unicl_loss

Pixels = NDArray[np.uint8]  # (H, W, 3)

BATCH_SIZE = 32  # images
TEXT_BATCH_SIZE = 128


class Validation:
    """Held-out rows; each call embeds them with a model and returns its metrics.

    Args:
        rows: rows with texts and, for the accuracy, labels. The prompts of a label are all texts of its rows.
        image_size: height and width of the model's images, in pixels.
        normalise: converts pixels to the image encoder's input.
        batch_texts: converts texts to the text encoder's input.
        world: the processes that share the rows.
        loss_batch_size: the loss is the mean over batches of this size, because the loss grows with the batch size.
        preprocessing: how image files become the image encoder's input, as the service does it.
        cache_pixels: preprocessed images are kept in memory if their longest side is at most this many pixels.
        threads: number of threads that decode images.
    """

    def __init__(
        self,
        rows: Sequence[Row],
        image_size: tuple[int, int],
        normalise: Normaliser,
        batch_texts: TextBatcher,
        world: World,
        *,
        loss_batch_size: int,
        preprocessing: Preprocessing,
        cache_pixels: int,
        threads: int,
    ) -> None:
        self._rows, self._image_size, self._preprocessing = rows, image_size, preprocessing
        self._texts = list(dict.fromkeys(text for row in rows for text in row.texts))
        self._pixels: dict[int, Pixels] = {}
        self._keeps_pixels = max(image_size) <= cache_pixels
        self._normalise, self._batch_texts, self._world = normalise, batch_texts, world
        self._loss_batch_size, self._threads = loss_batch_size, threads
        self._labels = list(dict.fromkeys(row.label for row in rows if row.label))
        # Random order, because the loss compares the rows of a batch, and neighbours in a file are often similar.
        self._order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0)).tolist()
        self._mine = self._order[world.rank :: world.size]

    @torch.inference_mode()
    def __call__(self, model: MedImageInsight, autocast: torch.dtype | None = None) -> dict[str, float]:
        """Metrics of a model, the same on all ranks.

        Args:
            model: model in eval mode, on its device.
            autocast: dtype of mixed precision; None for float32.

        Returns:
            `val_loss` and, if the rows have two labels or more, `val_accuracy` and `val_balanced_accuracy`, 0 to 1.

        Raises:
            TrainingError: no image can be read.
        """
        device = model.logit_scale.device
        with torch.autocast(device.type, autocast or torch.bfloat16, enabled=autocast is not None):
            images = self._embed_images(model)
            texts = self._embed_texts(model, self._texts)
        readable = ~images[:, 0].isnan()
        images, rows = images[readable], [self._rows[self._order[place]] for place in readable.nonzero().flatten()]
        if not rows:
            raise TrainingError("no validation image can be read")
        numbers = {label: number for number, label in enumerate(self._labels)}
        labels = torch.tensor([numbers.get(row.label, NO_LABEL) for row in rows])
        first = {text: number for number, text in enumerate(self._texts)}
        text_numbers = torch.tensor([first[row.texts[0]] for row in rows])
        loss = self._loss(images, texts[text_numbers], labels, text_numbers, model.logit_scale.detach().cpu())
        return {"val_loss": loss} | self._zero_shot(images, texts, labels, first)

    def _loss(self, images: Tensor, texts: Tensor, labels: Tensor, text_numbers: Tensor, logit_scale: Tensor) -> float:
        """Mean loss per row, over batches of `loss_batch_size`."""
        losses = []
        for part in torch.split(torch.arange(len(images)), self._loss_batch_size):
            positives = positive_pairs(labels[part], text_numbers[part])
            losses.append(unicl_loss(images[part], texts[part], positives, logit_scale) * len(part))
        return float(torch.stack(losses).sum()) / len(images)

    def _zero_shot(
        self, images: Tensor, texts: Tensor, labels: Tensor, text_numbers: dict[str, int]
    ) -> dict[str, float]:
        """Accuracy among the labels, whose prompts are averaged."""
        if len(self._labels) < 2:
            return {}
        wordings: dict[str, dict[str, None]] = {}
        for row in self._rows:
            if row.label:
                wordings.setdefault(row.label, {}).update(dict.fromkeys(row.texts))
        prompts = torch.stack(
            [texts[[text_numbers[text] for text in wordings[label]]].mean(0) for label in self._labels]
        )
        labelled = labels != NO_LABEL
        right = (images[labelled] @ F.normalize(prompts, dim=-1).T).argmax(-1) == labels[labelled]
        recalls = [right[labels[labelled] == number].float().mean() for number in torch.unique(labels[labelled])]
        balanced = float(torch.stack(recalls).mean())
        return {"val_accuracy": float(right.float().mean()), "val_balanced_accuracy": balanced}

    def _embed_images(self, model: MedImageInsight) -> Tensor:
        """(n, D) float32 on the CPU, in the order of `self._order`; NaN where the image cannot be read."""
        features = []
        with ThreadPoolExecutor(self._threads) as pool:
            for start in range(0, len(self._mine), BATCH_SIZE):
                pictures = list(pool.map(self._preprocess, self._mine[start : start + BATCH_SIZE]))
                encoded = torch.full((len(pictures), model.image_projection.shape[1]), torch.nan)
                if readable := [pixels for pixels in pictures if pixels is not None]:
                    pixels = self._normalise(torch.from_numpy(np.stack(readable)))
                    encoded[[pixels is not None for pixels in pictures]] = model.encode_image(pixels).cpu()
                features.append(encoded)
        width = model.image_projection.shape[1]
        parts = self._world.gather_objects(torch.cat(features) if features else torch.empty(0, width))
        gathered = torch.empty(len(self._order), width)
        for rank, part in enumerate(parts):
            gathered[rank :: self._world.size] = part
        return gathered

    def _preprocess(self, index: int) -> Pixels | None:
        """The pixels of a row as the service embeds them; None if its image cannot be read."""
        if index in self._pixels:
            return self._pixels[index]
        try:
            picture = self._rows[index].decode(self._preprocessing.rendering)
            pixels = preprocess(picture, self._image_size, self._preprocessing.standardization)
        except (InvalidInput, OSError):
            return None
        if self._keeps_pixels:
            self._pixels[index] = pixels
        return pixels

    def _embed_texts(self, model: MedImageInsight, texts: Sequence[str]) -> Tensor:
        """(texts, D) float32 on the CPU."""
        device = model.logit_scale.device
        features = []
        for start in range(0, len(texts), TEXT_BATCH_SIZE):
            input_ids, attention_mask = self._batch_texts(texts[start : start + TEXT_BATCH_SIZE])
            features.append(model.encode_text(input_ids.to(device), attention_mask.to(device)).cpu())
        return torch.cat(features)
