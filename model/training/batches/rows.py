"""Training rows and validation rows of a fine-tuning."""

from dataclasses import dataclass
from pathlib import Path

from model.cpus import available_cpus
from model.data.azure_tsv import read_class_names, read_tsv
from model.data.manifest import Manifest, check_images, split_for_training
from model.data.row_files import read_row_file
from model.errors import ManifestError, TrainingError
from model.training.options import FinetuneOptions


@dataclass(frozen=True)
class TrainingRows:
    """The rows of a fine-tuning.

    Attributes:
        train: the rows to learn from.
        val: the rows to validate on; None if there are none.
    """

    train: Manifest
    val: Manifest | None

    @property
    def shared_groups(self) -> frozenset[str]:
        """Groups, such as patients, with training and validation rows. They make the validation look too good."""
        groups = [set(manifest.values("group")) if manifest else set() for manifest in (self.train, self.val)]
        return frozenset(groups[0] & groups[1] - {""})


def read_rows(options: FinetuneOptions) -> TrainingRows:
    """Read the training and validation rows, and check the headers of their images.

    The validation rows come from the options' validation files; without such files, from the split "val" of the data.

    Raises:
        ManifestError: a file cannot be used; or, if `options.strict`, a row is bad or a group has both kinds of rows.
        TrainingError: the options name no training data.
    """
    if options.data is not None:
        train = read_row_file(options.data, label_texts=options.label_texts, strict=options.strict)
    elif options.image_tsv is not None and options.text_tsv is not None:
        train = _read_tsv(options, options.image_tsv, options.text_tsv)
    else:
        raise TrainingError("the options name no training data")
    val = None
    if options.val is not None:
        val = read_row_file(options.val, label_texts=options.label_texts, strict=options.strict)
    elif options.val_image_tsv is not None and options.val_text_tsv is not None:
        val = _read_tsv(options, options.val_image_tsv, options.val_text_tsv)
    train, val = split_for_training(train, val)
    threads = available_cpus()
    train = check_images(train, strict=options.strict, threads=threads)
    rows = TrainingRows(train, check_images(val, strict=options.strict, threads=threads) if val else None)
    if options.strict and rows.shared_groups:
        raise ManifestError(f"{len(rows.shared_groups)} groups have both training and validation rows")
    return rows


def _read_tsv(options: FinetuneOptions, image_tsv: Path, text_tsv: Path) -> Manifest:
    names = read_class_names(options.label_file) if options.label_file else ()
    return read_tsv(image_tsv, text_tsv, class_names=names, label_texts=options.label_texts, strict=options.strict)
