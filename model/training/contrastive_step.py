"""Loss and gradients of one step, for a batch that may exceed the memory and may be divided among processes.

The contrastive loss compares every image of the batch with every text. The sum of the losses of parts of a batch would
be another objective. So, as in GradCache (Gao et al. 2021, arXiv:2101.06983):
1. All parts are encoded to features, without a graph.
2. The loss of the whole batch and its gradient with respect to the features are computed.
3. Each part is encoded again, with a graph and the same random numbers, and its gradient is carried to the weights.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler
from torch.nn.parallel import DistributedDataParallel

from model.encoders.medimageinsight import MedImageInsight
from model.training.distributed import World
from model.training.losses import positive_pairs, unicl_loss

Chunk = tuple[Tensor, Tensor, Tensor]  # pixels, input_ids, attention_mask
Features = tuple[Tensor, Tensor]  # of images (n, D), of texts (m, D)


def random_state(device: torch.device) -> tuple[Tensor, ...]:
    """The states of the generators that a forward pass on a device draws from: the CPU's and the device's own."""
    own = () if device.type == "cpu" else (torch.get_device_module(device).get_rng_state(device),)
    return torch.get_rng_state(), *own


def restore_random_state(state: tuple[Tensor, ...], device: torch.device) -> None:
    """Make the next forward pass draw the same numbers as the one behind `random_state`."""
    torch.set_rng_state(state[0])
    if device.type != "cpu":
        torch.get_device_module(device).set_rng_state(state[1], device)


class Towers(nn.Module):
    """Both encoders as one module, for DistributedDataParallel; without `logit_scale`."""

    def __init__(self, model: MedImageInsight) -> None:
        super().__init__()
        self.image_encoder, self.text_encoder = model.image_encoder, model.text_encoder
        self.image_projection, self.text_projection = model.image_projection, model.text_projection
        self._encode_image, self._encode_text = model.encode_image, model.encode_text

    def forward(self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor) -> Features:
        return self._encode_image(pixels), self._encode_text(input_ids, attention_mask)


class ContrastiveStep:
    """Adds the gradient of the whole batch's UniCL loss to the parameters' `.grad`, the same on every rank.

    Args:
        model: model in train mode, on its device.
        world: the processes that share the batch.
        chunk_size: number of images to encode at once; 0 encodes all images of this rank at once.
        recompute: True encodes each chunk twice. False keeps the graphs of all chunks in memory. With several processes
            each chunk is always encoded twice: DistributedDataParallel allows one forward and backward pass at a time.
        autocast: dtype of the encoders' matrix products in mixed precision; None for float32.
        scaler: scaler of the loss if `autocast` is float16, otherwise None.
    """

    def __init__(
        self,
        model: MedImageInsight,
        world: World,
        *,
        chunk_size: int = 0,
        recompute: bool = True,
        autocast: torch.dtype | None = None,
        scaler: GradScaler | None = None,
    ) -> None:
        self._model, self._world, self._chunk_size = model, world, chunk_size
        self._recompute = recompute or world.size > 1
        self._device = model.logit_scale.device
        self._autocast, self._scaler = autocast, scaler
        towers = Towers(model).train(model.training)
        trained = any(parameter.requires_grad for parameter in towers.parameters())
        self._towers: nn.Module = DistributedDataParallel(towers) if world.size > 1 and trained else towers

    def __call__(
        self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor, text_of: Tensor, labels: Tensor, texts: Tensor
    ) -> Tensor:
        """Add the gradients of one batch.

        Args:
            pixels: (B, 3, H, W), this rank's images.
            input_ids: (U, L), token ids of this rank's distinct texts.
            attention_mask: (U, L), True for tokens, False for padding.
            text_of: (B,), index of each image's text among the U texts.
            labels: (B,), label numbers, equal for equal labels on all ranks; see `positive_pairs`.
            texts: (B,), text numbers, equal for equal texts on all ranks; see `positive_pairs`.

        Returns:
            The loss of the whole batch, a scalar without a graph.
        """
        chunks = self._chunks(pixels, input_ids, attention_mask)
        recompute = self._recompute and len(chunks) > 1
        random_states = []
        parts: list[Features] = []
        for chunk in chunks:
            random_states.append(random_state(self._device))
            with torch.set_grad_enabled(not recompute), self._unsynchronised(len(parts) < len(chunks) - 1):
                parts.append(self._encode(chunk))
        loss, gradients = self._loss(
            [images for images, _ in parts], [texts for _, texts in parts], text_of, labels, texts
        )
        for number, (chunk, state, gradient) in enumerate(zip(chunks, random_states, gradients, strict=True)):
            with self._unsynchronised(number < len(chunks) - 1):
                if recompute:
                    restore_random_state(state, self._device)
                    parts[number] = self._encode(chunk)
                self._carry_back(parts[number], gradient)
                parts[number] = (loss, loss)  # frees the graph
        return loss

    def _loss(
        self, images: Sequence[Tensor], texts: Sequence[Tensor], text_of: Tensor, labels: Tensor, text_numbers: Tensor
    ) -> tuple[Tensor, list[Features]]:
        """The loss, and its gradient for each chunk's features. Adds the gradient of `logit_scale` to its `.grad`."""
        image_leaves = [part.detach().requires_grad_() for part in images]
        text_leaves = [part.detach().requires_grad_() for part in texts]
        gather = self._world.gather
        image_features = gather(torch.cat(image_leaves))
        text_features = gather(torch.cat(text_leaves)[text_of])
        positives = positive_pairs(gather(labels), gather(text_numbers))
        loss = unicl_loss(image_features, text_features, positives, self._model.logit_scale)
        (self._scaler.scale(loss) if self._scaler else loss).backward()  # type: ignore[no-untyped-call]
        if self._model.logit_scale.grad is not None:
            self._world.average_([self._model.logit_scale.grad])
        gradients = [(_gradient(image), _gradient(text)) for image, text in zip(image_leaves, text_leaves, strict=True)]
        return loss.detach(), gradients

    def _carry_back(self, features: Features, gradients: Features) -> None:
        # DistributedDataParallel averages over the ranks, but the gradient is the sum: see `World.gather`.
        pairs = [(f, g * self._world.size) for f, g in zip(features, gradients, strict=True) if f.requires_grad]
        if pairs:
            torch.autograd.backward([f for f, _ in pairs], [g for _, g in pairs])

    def _chunks(self, pixels: Tensor, input_ids: Tensor, attention_mask: Tensor) -> list[Chunk]:
        """Chunks of images, and the same number of chunks of texts.

        Each chunk has at least one text, because DistributedDataParallel expects a gradient for every weight.
        """
        count = -(-len(pixels) // (self._chunk_size or len(pixels)))
        if missing := max(0, count - len(input_ids)):
            input_ids = torch.cat([input_ids, input_ids[:1].expand(missing, -1)])
            attention_mask = torch.cat([attention_mask, attention_mask[:1].expand(missing, -1)])
        split = (tensor.tensor_split(count) for tensor in (pixels, input_ids, attention_mask))
        return list(zip(*split, strict=True))

    def _encode(self, chunk: Chunk) -> Features:
        dtype = self._autocast or torch.bfloat16
        with torch.autocast(self._device.type, dtype, enabled=self._autocast is not None):
            images, texts = self._towers(*chunk)
        return images, texts

    def _unsynchronised(self, enabled: bool) -> AbstractContextManager[None]:
        """Context in which DistributedDataParallel does not exchange gradients, as only the last chunk needs it."""
        if enabled and isinstance(self._towers, DistributedDataParallel):
            return self._towers.no_sync()
        return nullcontext()


def _gradient(leaf: Tensor) -> Tensor:
    return torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
