"""Program that `test_contrastive_step.py` runs with `torchrun`: one step on a global batch, and a short training."""

import sys
from pathlib import Path

import torch
from torch import Tensor

from model.encoders.medimageinsight import MedImageInsight
from model.training.batches.augmentation import Augmentation
from model.training.contrastive_step import ContrastiveStep
from model.training.distributed import World, join_world
from model.training.finetune import finetune
from model.training.losses import NO_LABEL
from model.training.options import FinetuneOptions
from tests.model.training.test_optimisation import load_tiny

BATCH_SIZE = 12


def global_batch() -> dict[str, Tensor]:
    """Twelve images with five texts and four labels; one image has no label."""
    generator = torch.Generator().manual_seed(0)
    texts = torch.tensor([0, 1, 2, 3, 4, 0, 1, 2, 3, 4, 0, 1])
    return {
        "pixels": torch.randn(BATCH_SIZE, 3, 32, 32, generator=generator),
        "input_ids": torch.randint(1, 500, (5, 9), generator=generator),
        "texts": texts,
        "labels": torch.tensor([0, 1, 2, 3, NO_LABEL, 0, 1, 2, 3, 3, 1, 1]),
    }


def loss_and_gradients(
    model: MedImageInsight, world: World, *, chunk_size: int = 0, recompute: bool = True
) -> dict[str, Tensor]:
    """Run one step with this rank's part of the batch. Returns the batch's "loss", and the gradients by name."""
    batch = global_batch()
    part = slice(world.rank * BATCH_SIZE // world.size, (world.rank + 1) * BATCH_SIZE // world.size)
    numbers, text_of = torch.unique(batch["texts"][part], return_inverse=True)
    input_ids = batch["input_ids"][numbers]
    step = ContrastiveStep(model, world, chunk_size=chunk_size, recompute=recompute)
    loss = step(
        batch["pixels"][part],
        input_ids,
        torch.ones_like(input_ids, dtype=torch.bool),
        text_of,
        batch["labels"][part],
        batch["texts"][part],
    )
    gradients = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return {"loss": loss, **gradients}


def options(release: Path, manifest: Path, out: Path) -> FinetuneOptions:
    return FinetuneOptions(
        model=release,
        out=out,
        data=manifest,
        augmentation=Augmentation(extra={"noise": 0.5}),
        batch_size=8,
        chunk_size=3,
        steps=4,
        learning_rate=1e-3,
        warmup_steps=1,
        threads=1,
        tensorboard=False,
    )


def main() -> None:
    release, manifest, folder = map(Path, sys.argv[1:])
    torch.set_num_threads(1)
    world, _ = join_world("cpu")
    results = {}
    for chunk_size in (0, 2):
        model = load_tiny(release).requires_grad_(True).train()
        results[str(chunk_size)] = loss_and_gradients(model, world, chunk_size=chunk_size)
    torch.save(results, folder / f"rank{world.rank}.pt")
    finetune(options(release, manifest, folder / "two"))


if __name__ == "__main__":
    main()
