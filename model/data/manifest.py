"""Training and evaluation data: manifests of images with their texts, labels and other columns."""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from PIL import Image

from model.errors import InvalidInput, ManifestError
from model.imaging import base64_images, images, limits

LabelTexts = Mapping[str, Sequence[str]]
MAX_PIXELS = limits.MAX_PIXELS
HEADER_BYTES = 65_536


@dataclass(frozen=True)
class ImageSource:
    """Where an image's bytes lie: a whole file, or base64 inside an image TSV."""

    path: Path
    offset: int = -1  # bytes before the base64 text; -1 for a whole file
    length: int = 0  # bytes of base64 text

    def read(self, most: int = -1) -> bytes:
        """The image file's bytes, or about the first `most` of them.

        Raises:
            InvalidInput: not base64.
            OSError: the file cannot be read.
        """
        if self.offset < 0:
            with self.path.open("rb") as stream:
                return stream.read(most)
        length = self.length if most < 0 else min(self.length, most // 3 * 4)  # base64 has 4 characters for 3 bytes
        with self.path.open("rb") as stream:
            stream.seek(self.offset)
            return base64_images.decode_base64(stream.read(length).decode("ascii", "replace"))


@dataclass(frozen=True)
class Row:
    """One image with what is said about it."""

    number: int  # in its manifest, counted from 1 without the header
    image: ImageSource
    texts: tuple[str, ...] = ()  # wordings that fit; may be empty where no text is needed
    label: str = ""  # empty without one
    columns: Mapping[str, str] = field(default_factory=dict)  # every column of the manifest, as text

    def decode(self, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """The image, see `model.imaging.images.decode`.

        Raises:
            InvalidInput, OSError: it cannot be read.
        """
        return images.decode(self.image.read(), max_pixels=max_pixels)


@dataclass(frozen=True)
class BadRow:
    """A row that is left out, and why."""

    number: int
    reason: str


@dataclass(frozen=True)
class Manifest:
    """The usable rows of one file, and those that are not."""

    path: Path
    rows: tuple[Row, ...]
    bad_rows: tuple[BadRow, ...] = ()

    def with_split(self, split: str) -> "Manifest":
        """Only the rows whose `split` column says `split`."""
        return replace(self, rows=tuple(row for row in self.rows if row.columns.get("split") == split))

    @property
    def splits(self) -> frozenset[str]:
        return frozenset(row.columns["split"] for row in self.rows if row.columns.get("split"))

    def values(self, column: str) -> list[str]:
        """Each row's value of a column, "" where it has none."""
        return [row.columns.get(column, "") for row in self.rows]


def read_manifest(
    path: Path, *, label_texts: LabelTexts | None = None, strict: bool = False, needs_text: bool = True
) -> Manifest:
    """Read a CSV or Parquet file with the column `path`, `text` and/or `label`, and any others.

    Paths are relative to the manifest's folder. A row's texts are its `text` and the wordings that `label_texts` has
    for its label; a row with neither takes its label as its text. A row without any of them is bad if `needs_text`.

    Raises:
        ManifestError: the file cannot be read, lacks the column `path`, has no usable row, or a bad one and `strict`.
    """
    records = _read_parquet(path) if path.suffix.lower() in (".parquet", ".pq") else _read_csv(path)
    rows: list[Row] = []
    bad_rows: list[BadRow] = []
    for number, record in enumerate(records, start=1):
        if number == 1 and "path" not in record:
            raise ManifestError(f"{path.name} lacks the column path; it has {', '.join(record)}")
        row = _row(number, record, path.parent, label_texts or {}, needs_text)
        if isinstance(row, BadRow):
            bad_rows.append(row)
        else:
            rows.append(row)
    return checked(Manifest(path, tuple(rows), tuple(bad_rows)), strict=strict)


def checked(manifest: Manifest, *, strict: bool) -> Manifest:
    """The manifest itself.

    Raises:
        ManifestError: it has no usable row, or a bad one and `strict`.
    """
    bad_rows = manifest.bad_rows
    first = "; ".join(f"row {bad.number}: {bad.reason}" for bad in bad_rows[:5])
    if strict and bad_rows:
        raise ManifestError(f"{manifest.path.name} has {len(bad_rows)} bad rows: {first}")
    if not manifest.rows:
        raise ManifestError(f"{manifest.path.name} has no usable row{': ' if first else ''}{first}")
    return manifest


def check_images(manifest: Manifest, *, strict: bool = False, threads: int = 4) -> Manifest:
    """Open every image's header and move the rows whose image cannot be read to the bad ones.

    Raises:
        ManifestError: as `checked`.
    """
    with ThreadPoolExecutor(threads) as pool:
        reasons = list(pool.map(_why_unreadable, manifest.rows))
    rows = tuple(row for row, reason in zip(manifest.rows, reasons, strict=True) if not reason)
    bad = [BadRow(row.number, reason) for row, reason in zip(manifest.rows, reasons, strict=True) if reason]
    bad_rows = tuple(sorted((*manifest.bad_rows, *bad), key=lambda row: row.number))
    return checked(replace(manifest, rows=rows, bad_rows=bad_rows), strict=strict)


def read_label_texts(path: Path) -> dict[str, tuple[str, ...]]:
    """Read a JSON or YAML file of label -> wording, or label -> list of wordings.

    Raises:
        ManifestError: it is something else.
    """
    import yaml

    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ManifestError(f"{path.name} cannot be read as JSON or YAML") from error
    if not isinstance(document, dict):
        raise ManifestError(f"{path.name} must map each label to its wordings")
    texts: dict[str, tuple[str, ...]] = {}
    for label, wordings in document.items():
        listed = [wordings] if isinstance(wordings, str) else wordings
        if not isinstance(listed, list) or not listed or not all(isinstance(text, str) for text in listed):
            raise ManifestError(f"{path.name}: the label {label!r} needs a wording or a list of wordings")
        texts[str(label)] = tuple(listed)
    return texts


def _row(
    number: int, record: Mapping[str, str], folder: Path, label_texts: LabelTexts, needs_text: bool
) -> Row | BadRow:
    name, label, text = (record.get(column, "").strip() for column in ("path", "label", "text"))
    if not name:
        return BadRow(number, "no path")
    texts = tuple(dict.fromkeys(([text] if text else []) + list(label_texts.get(label, ()))))
    if needs_text and not texts and not label:
        return BadRow(number, "neither text nor label")
    image = folder / name
    if not image.is_file():
        return BadRow(number, "no such image file")
    return Row(number, ImageSource(image), texts or ((label,) if label else ()), label, dict(record))


def _why_unreadable(row: Row) -> str:
    for most in (HEADER_BYTES, -1):  # few formats have what is looked for at their end
        try:
            images.check(row.image.read(most), max_pixels=MAX_PIXELS)
        except InvalidInput as error:
            reason = str(error)
        except OSError as error:
            return f"the image cannot be read: {error.strerror}"
        else:
            return ""
    return reason


def _read_csv(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(2**31 - 1)
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
