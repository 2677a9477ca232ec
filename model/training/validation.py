"""How good a model is while it trains: the loss, and zero-shot accuracy over the labels, on held-out rows."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import torch
import torch.nn.functional as F
from torch import Tensor

from model.data.manifest import Row
from model.encoders.medimageinsight import MedImageInsight
from model.errors import TrainingError
from model.training.batches.loader import Normaliser, Sample, TextBatcher, TrainingSet, collate
from model.training.batches.sampling import Draw
from model.training.distributed import World
from model.training.losses import NO_LABEL, positive_pairs, unicl_loss

BATCH_SIZE = 32


class Validation:
    """Held-out rows, embedded again whenever it is asked how good a model is."""

    def __init__(
        self,
        rows: Sequence[Row],
        image_size: tuple[int, int],
        normalise: Normaliser,
        batch_texts: TextBatcher,
        world: World,
        *,
        loss_batch_size: int,
        cache_pixels: int,
        threads: int,
    ) -> None:
        """Args:
        rows: with texts and, for the accuracy, labels. A label's prompts are all texts of its rows.
        image_size: height and width that the model takes.
        normalise, batch_texts: as in training.
        world: who shares the work.
        loss_batch_size: the loss is the mean over batches of this size, since it grows with the batch.
        cache_pixels: see `TrainingSet`.
        threads: that decode images.
        """
        self._set = TrainingSet(rows, image_size, (0, 0, 0), None, cache_pixels=cache_pixels, strict=True)
        self._normalise, self._batch_texts, self._world = normalise, batch_texts, world
        self._loss_batch_size, self._threads = loss_batch_size, threads
        self._labels = list(dict.fromkeys(row.label for row in rows if row.label))
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(0))
        self._order = order.tolist()  # the loss compares rows of one batch: neighbours in the file may be alike
        self._mine = self._order[world.rank :: world.size]

    @torch.inference_mode()
    def __call__(self, model: MedImageInsight, autocast: torch.dtype | None = None) -> dict[str, float]:
        """`val_loss` and, where rows have labels, `val_accuracy` and `val_balanced_accuracy`, the same on all ranks."""
        device = model.logit_scale.device
        with torch.autocast(device.type, autocast or torch.bfloat16, enabled=autocast is not None):
            images = self._embed_images(model)
            texts = self._embed_texts(model, self._set.texts)
        readable = ~images[:, 0].isnan()
        images, rows = images[readable], [self._set.rows[self._order[place]] for place in readable.nonzero().flatten()]
        if not rows:
            raise TrainingError("no validation image can be read")
        numbers = {label: number for number, label in enumerate(self._labels)}
        labels = torch.tensor([numbers.get(row.label, NO_LABEL) for row in rows])
        first = {text: number for number, text in enumerate(self._set.texts)}
        text_numbers = torch.tensor([first[row.texts[0]] for row in rows])
        losses, sizes = [], []
        for part in torch.split(torch.arange(len(rows)), self._loss_batch_size):
            positives = positive_pairs(labels[part], text_numbers[part])
            scale = model.logit_scale.detach().cpu()
            losses.append(unicl_loss(images[part], texts[text_numbers[part]], positives, scale) * len(part))
            sizes.append(len(part))
        metrics = {"val_loss": float(torch.stack(losses).sum()) / sum(sizes)}
        return metrics | self._zero_shot(images, texts, labels, first)

    def _zero_shot(
        self, images: Tensor, texts: Tensor, labels: Tensor, text_numbers: dict[str, int]
    ) -> dict[str, float]:
        if len(self._labels) < 2:
            return {}
        wordings: dict[str, dict[str, None]] = {}
        for row in self._set.rows:
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
        """(n, D) float32 on the CPU, in `self._order`; NaN where the image cannot be read."""
        features = []
        with ThreadPoolExecutor(self._threads) as pool:
            for start in range(0, len(self._mine), BATCH_SIZE):
                samples = list(pool.map(self._sample, self._mine[start : start + BATCH_SIZE]))
                encoded = torch.full((len(samples), model.image_projection.shape[1]), torch.nan)
                if readable := [sample for sample in samples if sample]:
                    pixels = self._normalise(collate(readable).pixels)
                    encoded[[sample is not None for sample in samples]] = model.encode_image(pixels).cpu()
                features.append(encoded)
        width = model.image_projection.shape[1]
        parts = self._world.gather_objects(torch.cat(features) if features else torch.empty(0, width))
        gathered = torch.empty(len(self._order), width)
        for rank, part in enumerate(parts):
            gathered[rank :: self._world.size] = part
        return gathered

    def _sample(self, index: int) -> Sample | None:
        try:
            return self._set[Draw(index, 0)]
        except TrainingError:
            return None

    def _embed_texts(self, model: MedImageInsight, texts: Sequence[str]) -> Tensor:
        device = model.logit_scale.device
        features = []
        for start in range(0, len(texts), 4 * BATCH_SIZE):
            input_ids, attention_mask = self._batch_texts(texts[start : start + 4 * BATCH_SIZE])
            features.append(model.encode_text(input_ids.to(device), attention_mask.to(device)).cpu())
        return torch.cat(features)
