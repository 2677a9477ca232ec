"""Flags and texts that several commands share."""

import os
from importlib.util import find_spec
from pathlib import Path

import click

from app.cli.options.from_settings import secret
from app.settings import PREFIX
from model.errors import ExtraMissing

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

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
    help=f"URL of a server that computes the embeddings; no model is loaded here; {PREFIX}API_KEY holds its key",
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
api_key = secret("api_key", default="", envvar=f"{PREFIX}API_KEY")


def example(*lines: str) -> str:
    """The end of a command's help text: examples, one per line."""
    return "Example:\n\n\b\n" + "\n".join(f"  {line}" for line in lines)


def shown(text: object) -> str:
    """A text for a line on a terminal: what it cannot show, or would obey, is replaced."""
    characters = os.fsencode(str(text)).decode("utf-8", "replace")
    return "".join(character if character.isprintable() else "\ufffd" for character in characters)


def require_folder_of(output: Path) -> None:
    """Raise UsageError if the folder of an output file does not exist."""
    if not output.parent.is_dir():
        raise click.UsageError("--output names a file in a folder that does not exist")


def require_pyarrow_for(output: Path) -> None:
    """Raise ExtraMissing if an output file is Parquet, and pyarrow is not installed."""
    if output.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise ExtraMissing("writing .parquet needs pyarrow: install medimageinsight-server[parquet]")
