"""Inputs of the commands: image files and rows of manifests, and what is said about those that are left out."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import IO, Any

import click

from app.cli.options.shared import shown
from model.data.image_files import FoundImages, find_images
from model.data.image_source import ImageSource
from model.data.manifest import Manifest, check_images
from model.data.row_files import read_row_file
from model.errors import ImageDecodeError
from model.imaging.formats import ACCEPTED

EXIT_SOME_FAILED = 1  # what could be read is written
MOST_NAMED_PATHS = 3  # in an error message
TABLE_SUFFIXES = (".csv", ".tsv", ".parquet", ".pq")


class NoImages(click.ClickException):
    """A command found no image, or could read none. It ends with status 1 and writes nothing."""

    exit_code = EXIT_SOME_FAILED

    def show(self, file: IO[Any] | None = None) -> None:
        """Write the sentence as those of the other errors are."""
        click.echo(f"medimageinsight: {self.message}", file=file, err=True)


def find_files(
    paths: Sequence[Path],
    *,
    output: Path | None = None,
    verbose: bool = False,
    strict: bool = False,
    is_required: bool = True,
) -> FoundImages:
    """Find the image files among named files and in folders, and say on stderr what is skipped and what is left out.

    Args:
        paths: files and folders; see `model.data.image_files.find_images`.
        output: a folder whose files the command writes, and that is not read.
        verbose: whether to name each skipped file; default False counts them by reason.
        strict: whether a file that cannot be read ends the command; default False lists it.
        is_required: whether it is an error that nothing is left to read; default True.

    Raises:
        NoImages: nothing is left to read and `is_required`. No such error without `paths`.
        ImageDecodeError: a file or folder cannot be read and `strict`; the sentence names it.
    """
    found = find_images(paths, output=output, progress=True)
    if verbose:
        for path, reason in found.skipped:
            click.echo(f"skipped {shown(path)}: {reason}", err=True)
    if found.skipped:
        click.echo(found.summary, err=True)
    if strict and found.unreadable:
        path, reason = found.unreadable[0]
        raise ImageDecodeError(f"{path}: {reason}")
    list_left_out(found.unreadable)
    if is_required and paths and not found.files:
        looked_at = ", ".join(map(shown, paths)) if len(paths) <= MOST_NAMED_PATHS else f"{len(paths)} paths"
        unreadable = f"{len(found.unreadable)} unreadable" if found.unreadable else ""
        left_out = ", ".join(part for part in (found.summary, unreadable) if part) or "nothing is in there"
        raise NoImages(f"no image is found in {looked_at} ({left_out}); name image files, or folders with {ACCEPTED}")
    return found


def read_images(paths: Sequence[Path], *, verbose: bool = False, strict: bool = False) -> tuple[list[ImageSource], int]:
    """The images of named files, of folders, and of tables with a column `path`, and how many inputs are left out.

    Those of files and folders come first. What is left out is listed on stderr.

    Args:
        paths: files and folders as for `find_files`. A file .csv, .tsv, .parquet or .pq is a table.
        verbose, strict: as for `find_files`; `strict` is also about bad rows of a table.

    Raises:
        NoImages: nothing is left to read.
        ImageDecodeError: a file or folder cannot be read and `strict`.
        ManifestError: a table cannot be used, or has a bad row and `strict`.
    """
    tables = [path for path in paths if path.suffix.lower() in TABLE_SUFFIXES and path.is_file()]
    others = [path for path in paths if path not in tables]
    found = find_files(others, verbose=verbose, strict=strict, is_required=not tables)
    images, failed = [ImageSource(file) for file in found.files], len(found.unreadable)
    for table in tables:
        manifest = read_rows(table, strict=strict)
        list_left_out((f"row {row.number} of {table}", row.reason) for row in manifest.bad_rows)
        images += [row.image for row in manifest.rows]
        failed += len(manifest.bad_rows)
    return images, failed


def require_embedded(positions: Sequence[int], failed: int) -> None:
    """Raise NoImages if no image is embedded because all of them failed."""
    if failed and not positions:
        raise NoImages(f"no image can be read ({failed} failed), so nothing is written; each failure is named above")


def read_rows(path: Path, *, strict: bool, needs_image: bool = True) -> Manifest:
    """Read a manifest's rows, with or without texts and labels.

    Args:
        path: the manifest.
        strict: whether a bad row ends the command; every image's header is then read first.
        needs_image: whether the images must be there; default True.

    Raises:
        ManifestError: the manifest cannot be used, or has a bad row and `strict`.
    """
    manifest = read_row_file(path, strict=strict, needs_text=False, needs_image=needs_image)
    return check_images(manifest, strict=True) if strict and needs_image else manifest


def list_left_out(reasons: Iterable[tuple[object, str]]) -> None:
    """Write one line per input that is left out to stderr: its name and the reason."""
    for name, reason in reasons:
        click.echo(f"left out {shown(name)}: {reason}", err=True)
