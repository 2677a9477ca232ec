"""Files of predictions: one line per image, head and label, as CSV or Parquet. What a head lacks stays empty."""

import csv
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from app.cli.predictions.prediction import Prediction
from model.data.text_lines import as_utf8

COLUMNS = Prediction._fields
ROWS_PER_GROUP = 65_536  # of a Parquet file; all that is held in memory


def write_csv(predictions: Iterable[Prediction], path: Path) -> None:
    """Write CSV in UTF-8 with the columns `COLUMNS`. A name that is not UTF-8 keeps the bytes that it has on disk."""
    with path.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(COLUMNS)
        for prediction in predictions:
            writer.writerow(f"{cell:.6g}" if isinstance(cell, float) else cell for cell in prediction)


def write_parquet(predictions: Iterable[Prediction], path: Path) -> None:
    """Write Parquet with the columns `COLUMNS`. A name that is not UTF-8 gets backslash escapes."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = (pa.string(), pa.string(), pa.int32(), pa.string(), pa.float64(), pa.string(), pa.float64())
    schema = pa.schema(list(zip(COLUMNS, types, strict=True)))
    with pq.ParquetWriter(path, schema) as writer:
        for group in _groups((as_utf8(path), *others) for path, *others in predictions):
            columns = [pa.array(column, kind) for column, kind in zip(zip(*group, strict=True), types, strict=True)]
            writer.write_table(pa.table(columns, schema=schema))


def _groups(rows: Iterator[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    while group := list(islice(rows, ROWS_PER_GROUP)):
        yield group
