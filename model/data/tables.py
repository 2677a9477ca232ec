"""Records of a table: one dictionary of column name to text per row of a CSV or Parquet file."""

import csv
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path

from model.data.text_lines import read_lines
from model.errors import ManifestError

_CSV_PROBLEMS = {  # by the beginning of the error of Python's csv module
    "unexpected end": "a quote is opened here and never closed",
    "field larger": f"a value is longer than {csv.field_size_limit():,} characters",
    "',' expected": "a closing quote must be followed by a comma or by the end of the line",
}


def read_records(path: Path) -> Iterable[dict[str, str]]:
    """Read a Parquet file (.parquet, .pq), or else a CSV file in UTF-8 with a header. A missing value becomes "".

    The values of a line are separated by commas, in a file .tsv by tabs.

    Raises:
        ManifestError: the file cannot be read, or is Parquet and pyarrow is not installed. For a CSV file, the
            iteration raises it.
    """
    return _read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _read_csv(path)


def _read_csv(path: Path) -> Iterator[dict[str, str]]:
    rows = _csv_rows(path)
    header = next(rows, [])
    for row in rows:
        yield dict(zip(header, row + [""] * (len(header) - len(row)), strict=False))


def _csv_rows(path: Path) -> Iterator[list[str]]:
    """The values of each line that is not empty; a quoted value may span several lines."""
    with closing(read_lines(path)) as lines:
        reader = csv.reader(lines, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
        while True:
            line = reader.line_num + 1
            try:
                row = next(reader)
            except StopIteration:
                return
            except csv.Error as error:
                problems = [problem for start, problem in _CSV_PROBLEMS.items() if str(error).startswith(start)]
                problem = problems[0] if problems else "this is not CSV"
                raise ManifestError(f"{path}, line {line}: {problem}") from error
            if row:
                yield row


def _read_parquet(path: Path) -> Iterable[dict[str, str]]:
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ManifestError("reading .parquet needs pyarrow: install medimageinsight-server[parquet]") from error
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise ManifestError(f"{path} cannot be read as Parquet") from error
    columns: list[list[str]] = []
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            columns.append(["" if value is None else str(value) for value in column.to_pylist()])
        except (pa.ArrowException, ValueError, OverflowError) as error:
            raise ManifestError(f"{path}, column {name}: the values cannot be read as text") from error
    return [dict(zip(table.column_names, values, strict=True)) for values in zip(*columns, strict=True)]
