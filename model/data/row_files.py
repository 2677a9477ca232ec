"""Files of rows in every format: the format follows from the suffix."""

from pathlib import Path

from model.data.jsonl_records import read_jsonl
from model.data.label_texts import LabelTexts
from model.data.manifest import Manifest, read_manifest


def read_row_file(
    path: Path,
    *,
    label_texts: LabelTexts | None = None,
    strict: bool = False,
    needs_text: bool = True,
    needs_image: bool = True,
) -> Manifest:
    """Read a JSONL file (.jsonl) as `read_jsonl`, or else a CSV or Parquet file as `read_manifest`.

    Args:
        path: the file.
        label_texts: wordings of the labels; default: none.
        strict: True raises an error if any row is bad; default: False.
        needs_text: True, the default, makes a row bad if it has neither text nor label. Rows of JSONL always need one.
        needs_image: True, the default, makes a row bad if its path names no file. JSONL holds its images.

    Raises:
        ManifestError: the file cannot be read or has no usable row, or has a bad row and `strict`.
    """
    if path.suffix.lower() == ".jsonl":
        return read_jsonl(path, label_texts=label_texts, strict=strict)
    return read_manifest(path, label_texts=label_texts, strict=strict, needs_text=needs_text, needs_image=needs_image)
