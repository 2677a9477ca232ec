"""Manifests: lists of images with their texts, labels and other columns, for training and evaluation."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path

from PIL import Image

from model.data.image_source import ImageSource
from model.data.label_texts import LabelTexts
from model.data.tables import read_records
from model.errors import InvalidInput, ManifestError
from model.imaging import images
from model.imaging.limits import MAX_PIXELS
from model.imaging.rendering import AS_STORED, Rendering

HEADER_BYTES = 65_536  # read first to check an image; enough for the header of most formats
MAX_LISTED_BAD_ROWS = 5  # in an error message


@dataclass(frozen=True)
class Row:
    """One image with its texts and label.

    Args:
        number: number of the row in its manifest, from 1; the header line does not count.
        image: where the image's bytes lie.
        texts: texts that describe the image; empty if there are none.
        label: empty if there is none.
        columns: the text in each column of the manifest.
    """

    number: int
    image: ImageSource
    texts: tuple[str, ...] = ()
    label: str = ""
    columns: Mapping[str, str] = field(default_factory=dict)

    def decode(self, rendering: Rendering = AS_STORED, *, max_pixels: int = MAX_PIXELS) -> Image.Image:
        """Decode one picture of the image, by default the usual one, as `model.imaging.images.decode`.

        Raises:
            InvalidInput: the bytes are not a readable image, or it has more than `max_pixels`.
            OSError: the file cannot be read.
        """
        return images.decode(self.image.read(), max_pixels=max_pixels, rendering=rendering)


@dataclass(frozen=True)
class BadRow:
    """A row that is left out, and the reason."""

    number: int
    reason: str


@dataclass(frozen=True)
class Manifest:
    """The usable rows of one file, and its bad rows."""

    path: Path
    rows: tuple[Row, ...]
    bad_rows: tuple[BadRow, ...] = ()

    def with_split(self, split: str) -> "Manifest":
        """The manifest with only those rows whose column `split` has this value."""
        return replace(self, rows=tuple(row for row in self.rows if row.columns.get("split") == split))

    @property
    def splits(self) -> frozenset[str]:
        """All values of the column `split`, except the empty one."""
        return frozenset(row.columns["split"] for row in self.rows if row.columns.get("split"))

    def values(self, column: str) -> list[str]:
        """The value of a column in each row, "" where it is missing."""
        return [row.columns.get(column, "") for row in self.rows]


def split_for_training(data: Manifest, val: Manifest | None) -> tuple[Manifest, Manifest | None]:
    """The train rows and the validation rows.

    Args:
        data: the rows to train on. Those of its split "train" if it has one, otherwise all but its split "val".
        val: the rows to validate on: those of its split "val" if it has one, otherwise all. None takes the split "val"
            of `data`; without one, there are no validation rows.
    """
    if val is not None:
        val = val.with_split("val") if "val" in val.splits else val
    elif "val" in data.splits:
        val = data.with_split("val")
    if "train" in data.splits:
        return data.with_split("train"), val
    return replace(data, rows=tuple(row for row in data.rows if row.columns.get("split") != "val")), val


def read_manifest(
    path: Path,
    *,
    label_texts: LabelTexts | None = None,
    strict: bool = False,
    needs_text: bool = True,
    needs_image: bool = True,
) -> Manifest:
    """Read a CSV or Parquet file with the column `path`, the columns `text`, `label` or both, and any others.

    The texts of a row are its `text` and the wordings of its label in `label_texts`. If there are neither, the label
    itself is the text.

    Args:
        path: the file; paths of images are relative to its folder.
        label_texts: wordings of the labels; default: none.
        strict: True raises an error if any row is bad; default: False.
        needs_text: True, the default, makes a row bad if it has neither text nor label.
        needs_image: True, the default, makes a row bad if its path names no file.

    Raises:
        ManifestError: the file cannot be read, has no column `path` or no usable row, or has a bad row and `strict`.
    """
    rows: list[Row] = []
    bad_rows: list[BadRow] = []
    for number, record in enumerate(read_records(path), start=1):
        if number == 1 and "path" not in record:
            raise ManifestError(f"{path} lacks the column path; its first line must name the columns")
        row = _row(number, record, path.parent, label_texts or {}, needs_text, needs_image)
        if isinstance(row, BadRow):
            bad_rows.append(row)
        else:
            rows.append(row)
    return require_usable_rows(Manifest(path, tuple(rows), tuple(bad_rows)), strict=strict)


def require_usable_rows(manifest: Manifest, *, strict: bool) -> Manifest:
    """Return the manifest if it can be used.

    Raises:
        ManifestError: it has no usable row, or has a bad row and `strict`.
    """
    bad_rows = manifest.bad_rows
    reasons = "; ".join(f"row {bad.number}: {bad.reason}" for bad in bad_rows[:MAX_LISTED_BAD_ROWS])
    if strict and bad_rows:
        raise ManifestError(f"{manifest.path} has {len(bad_rows)} bad rows: {reasons}")
    if not manifest.rows:
        raise ManifestError(f"{manifest.path} has no usable row{': ' if reasons else ''}{reasons}")
    return manifest


def check_images(manifest: Manifest, *, strict: bool = False, threads: int = 4) -> Manifest:
    """Read the header of every image, and move the rows whose image cannot be read to the bad rows.

    Args:
        manifest: the rows to check.
        strict: True raises an error if any row is bad; default: False.
        threads: number of images that are checked at the same time; default: 4.

    Raises:
        ManifestError: as `require_usable_rows`.
    """
    with ThreadPoolExecutor(threads) as pool:
        reasons = list(pool.map(_image_error, manifest.rows))
    rows = tuple(row for row, reason in zip(manifest.rows, reasons, strict=True) if not reason)
    bad = [BadRow(row.number, reason) for row, reason in zip(manifest.rows, reasons, strict=True) if reason]
    bad_rows = tuple(sorted((*manifest.bad_rows, *bad), key=lambda row: row.number))
    return require_usable_rows(replace(manifest, rows=rows, bad_rows=bad_rows), strict=strict)


def _row(
    number: int,
    record: Mapping[str, str],
    folder: Path,
    label_texts: LabelTexts,
    needs_text: bool,
    needs_image: bool,
) -> Row | BadRow:
    name, label, text = (record.get(column, "").strip() for column in ("path", "label", "text"))
    if not name:
        return BadRow(number, "the column path is empty")
    texts = tuple(dict.fromkeys(([text] if text else []) + list(label_texts.get(label, ()))))
    if needs_text and not texts and not label:
        return BadRow(number, "the columns text and label are empty")
    image = folder / name
    if needs_image and not _is_file(image):
        return BadRow(number, "the column path names no image file")
    return Row(number, ImageSource(image), texts or ((label,) if label else ()), label, dict(record))


def _is_file(path: Path) -> bool:
    """Whether a path is a file that can be looked at; an OSError would quote the path, which may be anything."""
    try:
        return path.is_file()
    except OSError:
        return False


def _image_error(row: Row) -> str:
    """Why the row's image cannot be read; "" if it can."""
    reason = ""
    for max_bytes in (HEADER_BYTES, -1):  # the whole file only if its beginning is not enough
        try:
            images.check(row.image.read(max_bytes), max_pixels=MAX_PIXELS)
        except InvalidInput as error:
            reason = str(error)
        except OSError as error:
            return f"the image cannot be read: {error.strerror}"
        else:
            return ""
    return reason
