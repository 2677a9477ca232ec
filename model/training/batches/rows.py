"""The rows that a fine-tuning learns from, and those that it is judged by."""

from dataclasses import dataclass, replace
from pathlib import Path

from model.data.azure_tsv import read_names, read_tsv
from model.data.manifest import Manifest, check_images, read_manifest
from model.devices import available_cpus
from model.errors import ManifestError, TrainingError
from model.training.options import FinetuneOptions


@dataclass(frozen=True)
class TrainingRows:
    train: Manifest
    val: Manifest | None

    @property
    def shared_groups(self) -> frozenset[str]:
        """Groups (patients, say) with rows on both sides: what is known about them makes the validation too good."""
        groups = [set(manifest.values("group")) if manifest else set() for manifest in (self.train, self.val)]
        return frozenset(groups[0] & groups[1] - {""})


def read_rows(options: FinetuneOptions) -> TrainingRows:
    """Read the rows to learn from and the held-out ones, their images' headers checked.

    Raises:
        ManifestError: see `model.data.manifest`.
    """
    if options.data is not None:
        train = read_manifest(options.data, label_texts=options.label_texts, strict=options.strict)
    elif options.image_tsv is not None and options.text_tsv is not None:
        train = _read_tsv(options, options.image_tsv, options.text_tsv)
    else:
        raise TrainingError("there is no training data")
    val = None
    if options.val is not None:
        val = read_manifest(options.val, label_texts=options.label_texts, strict=options.strict)
        val = val.with_split("val") if "val" in val.splits else val
    elif options.val_image_tsv is not None and options.val_text_tsv is not None:
        val = _read_tsv(options, options.val_image_tsv, options.val_text_tsv)
    elif "val" in train.splits:
        val = train.with_split("val")
    if "train" in train.splits:
        train = train.with_split("train")
    elif "val" in train.splits:
        train = replace(train, rows=tuple(row for row in train.rows if row.columns.get("split") != "val"))
    threads = available_cpus()
    train = check_images(train, strict=options.strict, threads=threads)
    rows = TrainingRows(train, check_images(val, strict=options.strict, threads=threads) if val else None)
    if options.strict and rows.shared_groups:
        raise ManifestError(f"{len(rows.shared_groups)} groups stand in the training and in the held-out rows")
    return rows


def _read_tsv(options: FinetuneOptions, image_tsv: Path, text_tsv: Path) -> Manifest:
    names = read_names(options.label_file) if options.label_file else ()
    return read_tsv(image_tsv, text_tsv, class_names=names, label_texts=options.label_texts, strict=options.strict)
