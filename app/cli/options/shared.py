"""Flags and texts that several commands share."""

import os
from collections.abc import Iterable, Iterator
from importlib.util import find_spec
from pathlib import Path

import click

from app.cli.options.from_settings import secret
from app.settings import PREFIX
from model.errors import ExtraMissing

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

KEY_VARIABLE = f"{PREFIX}API_KEY"

no_cache = click.option(
    "--no-cache", is_flag=True, help="Neither read nor write the embeddings in the folder embeddings of --cache-dir"
)
strict_images = click.option(
    "--strict", is_flag=True, help="Stop at an unreadable image; otherwise it is listed and left out"
)
strict_rows = click.option(
    "--strict", is_flag=True, help="Stop at a bad row; otherwise bad rows are listed and left out"
)
server = click.option(
    "--server",
    metavar="URL",
    help=f"URL of a server that computes the embeddings; no model is loaded here; {KEY_VARIABLE} holds its key",
)
template = click.option(
    "--template",
    default="{}",
    show_default=True,
    help="Template for the texts of the labels: each text replaces {}; Azure's template is {} with a full stop",
)
verbose = click.option("-v", "--verbose", is_flag=True, help="Name every file that is skipped, with the reason")
labels = click.option(
    "--label", "labels", metavar="TEXT", multiple=True, help="Label, which is its own text; repeatable"
)
overwrite_head = click.option(
    "--overwrite", is_flag=True, help="Replace the head that is in the folder; otherwise such a folder is refused"
)
api_key = secret("api_key", default="", envvar=KEY_VARIABLE)


def example(*lines: str) -> str:
    """The end of a command's help text: examples, one per line."""
    return "Example:\n\n\b\n" + "\n".join(f"  {line}" for line in lines)


def shown(text: object) -> str:
    """A text for a line on a terminal: what it cannot show, or would obey, is replaced."""
    characters = os.fsencode(str(text)).decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\ufffd" for character in characters)


def aligned(rows: Iterable[tuple[str, ...]], *, are_numbers: bool = False) -> Iterator[str]:
    """The lines of a table for a terminal.

    Args:
        rows: the cells of each line, the same number in all.
        are_numbers: whether all columns but the first are aligned on the right; default False.
    """
    cells = list(rows)
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    for row in cells:
        padded = (
            cell.rjust(width) if are_numbers and column else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        yield "  ".join(padded).rstrip()


def open_head_folder(folder: Path, *, overwrite: bool) -> None:
    """Create the folder of a head if it is missing.

    Raises:
        UsageError: the folder has a head, which is not to be replaced.
        OutputError: the folder cannot be written.
    """
    from model.heads.head_folder import FACTS_FILE, OLD_FACTS_FILE
    from model.output_file import open_folder

    if not overwrite and any((folder / name).exists() for name in (FACTS_FILE, OLD_FACTS_FILE)):
        raise click.UsageError(f"{shown(folder)} has a head already; name another folder, or replace it by --overwrite")
    open_folder(folder)


def require_folder_of(output: Path) -> None:
    """Raise UsageError if the folder of an output file does not exist."""
    if not output.parent.is_dir():
        raise click.UsageError("--output names a file in a folder that does not exist")


def require_pyarrow_for(output: Path) -> None:
    """Raise ExtraMissing if an output file is Parquet, and pyarrow is not installed."""
    if output.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise ExtraMissing("writing .parquet needs pyarrow: install medimageinsight-server[parquet]")
