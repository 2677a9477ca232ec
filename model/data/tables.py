"""Records of a table: one dictionary of column name to text per row of a CSV or Parquet file."""

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from model.errors import ManifestError

MAX_FIELD_CHARS = 2**31 - 1  # Python's own limit, 131,072, is too low for long texts


def read_records(path: Path) -> Iterable[dict[str, str]]:
    """Read a Parquet file (.parquet, .pq), or else a CSV file in UTF-8 with a header. A missing value becomes "".

    Raises:
        ManifestError: the file cannot be read, or is Parquet and pyarrow is not installed. For a CSV file, the
            iteration raises it.
    """
    return _read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _read_csv(path)


def _read_csv(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(MAX_FIELD_CHARS)
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            for record in csv.DictReader(stream):
                yield {name: value or "" for name, value in record.items() if name is not None}
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestError(f"{path.name} cannot be read as CSV") from error


def _read_parquet(path: Path) -> Iterable[dict[str, str]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ManifestError("reading .parquet needs pyarrow: install medimageinsight-server[parquet]") from error
    try:
        records: list[dict[str, Any]] = pq.read_table(path).to_pylist()
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"{path.name} cannot be read as Parquet") from error
    return [{name: "" if value is None else str(value) for name, value in record.items()} for record in records]
