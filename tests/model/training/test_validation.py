"""Validation of a training: of the images as the service embeds them, and of plain ones."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from model.data.manifest import read_manifest
from model.engine import EmbeddingEngine
from model.errors import TrainingError
from model.imaging.preprocessing import Preprocessing, Standardization
from model.imaging.rendering import Rendering
from model.training.finetune import finetune
from model.training.losses import positive_pairs, unicl_loss
from model.training.options import FinetuneOptions
from tests.support.learnable import LABELS, make_tiny_release, write_manifest, write_pictures


@pytest.fixture
def options(tmp_path: Path) -> FinetuneOptions:
    """One step, whose weights are saved as they are validated; all validation rows fit into one batch."""
    return FinetuneOptions(
        model=make_tiny_release(tmp_path),
        out=tmp_path / "out",
        data=write_manifest(tmp_path / "manifest.csv", write_pictures(tmp_path, 24)),
        batch_size=8,
        steps=1,
        ema=0,
        threads=1,
        device="cpu",
        tensorboard=False,
    )


def loss_of_served(release: Path, manifest: Path, preprocessing: Preprocessing) -> float:
    """The loss of the validation rows, embedded as the service embeds them."""
    engine = EmbeddingEngine.load(release, device="cpu", threads=1)
    rows = read_manifest(manifest).with_split("val").rows
    steps = (preprocessing.standardization, preprocessing.rendering)
    pixels = [engine.preprocess_image(row.image.read(), *steps) for row in rows]
    images = torch.from_numpy(engine.embed_images([engine.stage_images(pixels)]))
    texts = torch.from_numpy(engine.embed_texts([engine.tokenize(row.label) for row in rows]))
    labels: Tensor = torch.tensor([LABELS.index(row.label) for row in rows])
    return float(unicl_loss(images, texts, positive_pairs(labels, labels), torch.tensor(engine.logit_scale)))


@pytest.mark.parametrize(
    "preprocessing",
    [Preprocessing(), Preprocessing(None), Preprocessing(rendering=Rendering(contrast="equalize"))],
    ids=["usual", "plain", "equalize"],
)
def test_what_is_validated_is_what_is_served(options: FinetuneOptions, preprocessing: Preprocessing) -> None:
    assert options.data is not None
    record = finetune(replace(options, preprocessing=preprocessing))
    loss = record["last_validation"]["val_loss"]
    assert record["options"]["preprocessing"] == preprocessing.params()
    assert loss == pytest.approx(loss_of_served(options.out, options.data, preprocessing), abs=1e-5)
    other = Preprocessing(Standardization(size=32))
    assert loss != pytest.approx(loss_of_served(options.out, options.data, other), abs=1e-5)


def test_a_cache_of_images_changes_no_validation(options: FinetuneOptions) -> None:
    losses = [
        finetune(replace(options, cache_pixels=size, steps=2, eval_every=1, out=options.out / str(size)))[
            "last_validation"
        ]["val_loss"]
        for size in (0, 40, 400)
    ]
    assert losses == [losses[0]] * 3


def test_a_training_is_resumed_only_with_the_validation_that_it_started_with(
    options: FinetuneOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("model.training.finetune.save_model", interrupted)
    with pytest.raises(KeyboardInterrupt):
        finetune(options)
    for other in (replace(options, preprocessing=Preprocessing(None)), replace(options, keep_best=True)):
        with pytest.raises(TrainingError, match="other data or options"):
            finetune(replace(other, resume=True))


def interrupted(*_: object, **__: object) -> None:
    raise KeyboardInterrupt
