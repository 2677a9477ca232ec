"""Fingerprint and record of a training: its identity for a resumption, and the content of `training.json`."""

import hashlib
import json
import platform
import time
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch

from model.checkpoints.release_folder import ReleaseFolder
from model.data.manifest import Manifest
from model.training.batches.rows import TrainingRows
from model.training.options import FinetuneOptions
from model.training.outputs.log import TrainingLog
from model.training.trainer import Trainer

# Options that may change between an interrupted training and its resumption.
_NOT_IN_FINGERPRINT = (
    *("out", "resume", "device", "threads", "workers", "chunk_size", "recompute", "strict", "tensorboard"),
    *("log_every", "eval_every", "save_every", "classifier"),
)
_PACKAGES = ("medimageinsight-server", "torch", "torchvision", "timm", "numpy", "pillow", "tokenizers")


def fingerprint_of(options: FinetuneOptions, data: TrainingRows, base_sha256: str) -> str:
    """Hash of what identifies a training: options (without `_NOT_IN_FINGERPRINT`), all rows and base weights."""
    kept = {name: value for name, value in options.as_dict().items() if name not in _NOT_IN_FINGERPRINT}
    rows = [
        [(str(row.image), row.label, row.texts) for row in manifest.rows] if manifest else []
        for manifest in (data.train, data.val)
    ]
    return hashlib.sha256(json.dumps([kept, rows, base_sha256], sort_keys=True).encode()).hexdigest()


def record_of(
    options: FinetuneOptions,
    release: ReleaseFolder,
    base_sha256: str,
    fingerprint: str,
    data: TrainingRows,
    trainer: Trainer,
    log: TrainingLog,
) -> dict[str, Any]:
    """The content of `training.json`.

    Args:
        options: the options of the training.
        release: the base model.
        base_sha256: SHA-256 of the base model's weights.
        fingerprint: identity of the training.
        data: the training and validation rows.
        trainer: the finished trainer.
        log: its log.
    """
    validations = [record for record in log.records if "val_loss" in record]
    record = {
        "options": options.as_dict(),
        "base_model": {"name": release.name, "weights_sha256": base_sha256},
        "fingerprint": fingerprint,
        "groups_in_both": len(data.shared_groups),
        "data": {"train": _described(data.train), "val": _described(data.val) if data.val else None},
        "batch_shares": trainer.shares,
        "steps": trainer.plan.steps,
        "processes": trainer.world.size,
        "device": str(trainer.model.logit_scale.device),
        "threads": torch.get_num_threads(),
        "training_s": round(trainer.progress.seconds, 1),
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "unreadable_rows": trainer.progress.unreadable_rows,
        "saved": {
            "weights": "moving average" if options.ema else "last",
            "step": trainer.progress.best_step if options.keep_best and validations else trainer.plan.steps,
        },
        "validation_before_training": validations[0] if validations and validations[0]["step"] == 0 else None,
        "last_validation": validations[-1] if validations else None,
        "best_validation": {"step": trainer.progress.best_step, "score": trainer.progress.best_score}
        if validations
        else None,
        "versions": {"python": platform.python_version(), **{name: _version(name) for name in _PACKAGES}},
    }
    as_written: dict[str, Any] = json.loads(json.dumps(record))
    return as_written


def _described(manifest: Manifest) -> dict[str, Any]:
    with manifest.path.open("rb") as stream:
        sha256 = hashlib.file_digest(stream, "sha256").hexdigest()
    return {
        "file": manifest.path.name,
        "sha256": sha256,
        "rows": len(manifest.rows),
        "bad_rows": [{"row": bad.number, "reason": bad.reason} for bad in manifest.bad_rows],
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
