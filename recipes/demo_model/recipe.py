"""Recipe of the demonstration model: a vocabulary, two phases of UniCL training, and weights in half precision.

The last step is `pack`, which widens the embeddings.
"""

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import yaml

from model.checkpoints.checkpoint import load_model, new_model, save_model
from model.checkpoints.release_folder import CONFIG_FILE, find_release_folder
from model.config import read_config
from model.data.label_texts import read_label_texts
from model.data.manifest import read_manifest
from model.encoders.tokenizer import Tokenizer
from model.training.batches.augmentation import Augmentation
from model.training.finetune import finetune
from model.training.options import FinetuneOptions
from recipes.demo_model.tokenizer import write_tokenizer
from recipes.demo_model.training_rows import SHARES, unpack, write_training_manifest
from recipes.demo_model.widening import EMBEDDING_SIZE, widen

HERE = Path(__file__).parent
MODEL = HERE.parent.parent / "model" / "demo_model"
LABEL_TEXTS = MODEL / "label_texts.yaml"
WEIGHTS = "medimageinsight-demo.safetensors"
CONTEXT_LENGTH = 77
MERGES = 1200
BATCH_SIZE = 64


@dataclass(frozen=True)
class Phase:
    """One training of the recipe.

    Attributes:
        image_size: side of the images, in pixels.
        steps: number of steps.
        learning_rate: peak learning rate.
        min_learning_rate: learning rate at the end, as a share of the peak.
        warmup_steps: steps of linear warm-up.
    """

    image_size: int
    steps: int
    learning_rate: float
    min_learning_rate: float
    warmup_steps: int


# Small images first: a step at 64 pixels costs a third of a step at 128 pixels.
PHASES = (Phase(64, 1500, 5e-4, 0.4, 50), Phase(128, 2800, 5e-4, 0.0, 30))
# Without TrivialAugmentWide: with it, the loss did not fall in such a short training.
AUGMENTATION = Augmentation(
    extra={"rescale": 0.25, "blur": 0.15, "noise": 0.1, "jpeg": 0.2, "window": 0.5, "invert": 0.08, "gray": 0.1},
    crop_area=0.65,
    trivial_augment=False,
    erase=0.05,
)


def prepare(archive: Path, work: Path) -> tuple[Path, Path]:
    """Write the training manifest and a release folder with random weights. Returns their paths.

    Args:
        archive: zip file of the labelled images.
        work: folder of the intermediate files.
    """
    unpack(archive, work / "images")
    manifest = write_training_manifest(work / "images")
    start = work / "start"
    tokenizer = start / "language_model" / "clip_tokenizer"
    texts = [text for texts in read_label_texts(LABEL_TEXTS).values() for text in texts]
    texts += sorted({row.columns["text"] for row in read_manifest(manifest).rows})
    texts += (HERE / "clinical_words.txt").read_text(encoding="utf-8").splitlines()
    size = write_tokenizer(texts, tokenizer, merges=MERGES, context_length=CONTEXT_LENGTH)
    config = HERE / CONFIG_FILE
    save_model(new_model(read_config(config), size), start, config=config, tokenizer=tokenizer)
    return manifest, start


def train(manifest: Path, start: Path, work: Path) -> Path:
    """Run all phases. Returns the release folder of the last phase.

    Args:
        manifest: the training manifest.
        start: release folder to start from.
        work: folder of the intermediate files.
    """
    for phase in PHASES:
        start = run_phase(phase, manifest, start, work)
    return start


def run_phase(phase: Phase, manifest: Path, start: Path, work: Path) -> Path:
    """Run one phase, or resume it. Returns its release folder."""
    resized = _resized(start, phase.image_size, work / f"from-{phase.image_size}px")
    out = work / f"trained-{phase.image_size}px"
    finetune(
        FinetuneOptions(
            model=resized,
            out=out,
            data=manifest,
            label_texts=read_label_texts(LABEL_TEXTS),
            strict=True,
            sample_by="stratum",
            shares=SHARES,
            augmentation=AUGMENTATION,
            cache_pixels=128,
            workers=1,
            batch_size=BATCH_SIZE,
            steps=phase.steps,
            learning_rate=phase.learning_rate,
            min_learning_rate=phase.min_learning_rate,
            warmup_steps=phase.warmup_steps,
            learning_rates={"^logit_scale$": 10 * phase.learning_rate},
            weight_decay=0.05,
            betas=(0.9, 0.98),
            ema=0.998,
            device="cpu",
            eval_every=200,
            save_every=200,
            log_every=20,
            resume=out.exists(),
        )
    )
    return out


def pack(trained: Path, out: Path) -> Path:
    """Write a trained model to the folder of the model card, with `EMBEDDING_SIZE` numbers per vector and in float16.

    Returns the path of the weights.
    """
    release = find_release_folder(trained)
    config = read_config(release.config)
    tokenizer = Tokenizer(release.tokenizer, config.text.context_length)
    device = torch.device("cpu")
    model = load_model(release.weights, config, tokenizer.vocabulary_size, device=device, dtype=torch.float32)
    widen(model)
    wider = _write_config(release.config, out, "UNICL_MODEL", {"DIM_PROJECTION": EMBEDDING_SIZE})
    weights = save_model(model, out, config=wider, tokenizer=release.tokenizer, dtype=torch.float16)
    return weights.replace(weights.with_name(WEIGHTS))


def _resized(release: Path, image_size: int, out: Path) -> Path:
    """A copy of a release folder with another image size in its config; DaViT takes images of any size."""
    if not out.exists():
        found = find_release_folder(release)
        (out / "vision_model").mkdir(parents=True)
        shutil.copyfile(found.weights, out / "vision_model" / found.weights.name)
        shutil.copytree(found.tokenizer, out / "language_model" / found.tokenizer.name)
        _write_config(found.config, out, "IMAGE_ENCODER", {"IMAGE_SIZE": [image_size, image_size]})
    return out


def _write_config(config: Path, folder: Path, section: str, changes: dict[str, Any]) -> Path:
    """Write a copy of a config with other values in one section. Returns its path."""
    document = yaml.safe_load(config.read_text(encoding="utf-8"))
    document[section].update(changes)
    folder.mkdir(parents=True, exist_ok=True)
    written = folder / CONFIG_FILE
    written.write_text(yaml.safe_dump(document, sort_keys=False), encoding="utf-8")
    return written
