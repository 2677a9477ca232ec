"""Zero-shot head of a fine-tuned model, made from the labels and the texts that it was trained on."""

from collections.abc import Mapping
from typing import Any

import torch

from model.checkpoints.release_folder import find_release_folder
from model.engine import EmbeddingEngine
from model.engine_embedder import EngineEmbedder
from model.errors import TrainingError
from model.evaluation.prompts import LabelPrompts, Prompts
from model.heads.head_folder import FACTS_FILE, save_head
from model.heads.zero_shot import make_zero_shot_head
from model.training.batches.rows import TrainingRows, read_rows
from model.training.options import FinetuneOptions
from model.training.outputs.record import fingerprint_of
from model.training.outputs.state import require_same

CLASSIFIER_FOLDER = "classifier"


def trained_prompts(options: FinetuneOptions, rows: TrainingRows) -> Prompts:
    """Each label of the training rows with all texts of its rows, as the validation compares them.

    A label of TSV files is named by its class name.

    Raises:
        TrainingError: the rows have fewer than two labels.
    """
    texts: dict[str, dict[str, None]] = {}
    for row in rows.train.rows:
        if row.label:
            texts.setdefault(row.texts[0] if options.image_tsv else row.label, {}).update(dict.fromkeys(row.texts))
    if len(texts) < 2:
        raise TrainingError(
            f"a classifier needs training rows of at least two labels, but those of {rows.train.path} have "
            f"{len(texts) or 'none'}; give the rows labels, or leave --classifier out"
        )
    return {label: LabelPrompts(tuple(wordings)) for label, wordings in texts.items()}


def add_classifier(options: FinetuneOptions, record: Mapping[str, Any], device: torch.device) -> None:
    """Write the head of a finished training if it is missing.

    Args:
        options: the options of the training.
        record: the content of its `training.json`.
        device: where the texts are embedded.

    Raises:
        TrainingError: the training had other data or options, or its rows have fewer than two labels.
        InvalidInput, ManifestError, OutputError: as for `write_classifier`.
    """
    if (options.out / CLASSIFIER_FOLDER / FACTS_FILE).is_file():
        return
    rows = read_rows(options)
    base_sha256 = find_release_folder(options.model).weights_sha256()
    require_same(record.get("fingerprint"), fingerprint_of(options, rows, base_sha256), options.out)
    write_classifier(options, trained_prompts(options, rows), device)


def write_classifier(options: FinetuneOptions, prompts: Prompts, device: torch.device) -> None:
    """Write the head of the model in the folder `out` to its folder `classifier`.

    Raises:
        InvalidInput: a text cannot be embedded.
        ManifestError: the texts of a label cancel each other.
        OutputError: a file cannot be written.
    """
    engine = EmbeddingEngine.load(options.out, device=str(device), dtype="float32", threads=options.threads or None)
    model = {"name": engine.release.name, "weights_sha256": engine.release.weights_sha256()}
    head = make_zero_shot_head(
        EngineEmbedder(lambda: engine),
        prompts,
        model=model,
        preprocessing=options.preprocessing,
        details={"source": "labels of a fine-tuning"},
    )
    save_head(head, options.out / CLASSIFIER_FOLDER)
