"""The command `download`: a model from the Hugging Face hub into the cache, or into a folder to carry elsewhere."""

import hashlib
import shutil
from pathlib import Path
from typing import Any

import click

from app.cli.options.from_settings import read_settings, settings_options
from app.cli.options.shared import example
from model.errors import CheckpointError


@click.command(
    short_help="Download a model into the cache, and print its folder.",
    epilog=example(
        "medimageinsight download lion-ai/MedImageInsights",
        "medimageinsight download lion-ai/MedImageInsights --to /media/usb/model",
    ),
)
@click.argument("hub_id", metavar="ID")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path),
    help="New folder for a copy with SHA256SUMS, to carry to a machine without internet access",
)
@settings_options("cache_dir")
def download(hub_id: str, folder: Path | None, **given: Any) -> None:
    """Download the model ID (owner/name or owner/name@revision) into the cache, and print its folder."""
    from model.checkpoints.hub import HubId
    from model.checkpoints.hub import download as download_release

    if folder is not None and folder.exists() and any(folder.iterdir()):
        raise click.UsageError("--to names a folder that is not empty")
    parsed = HubId.parse(hub_id)
    if parsed is None:
        raise CheckpointError(f"{hub_id!r} is not a Hugging Face id; write owner/name or owner/name@revision")
    release = download_release(parsed, cache_dir=read_settings(given).cache_dir.expanduser())
    click.echo(release if folder is None else copy_with_checksums(release, folder))


def copy_with_checksums(release: Path, folder: Path) -> Path:
    """Copy a release folder, and write SHA256SUMS as `sha256sum --check` reads it; returns `folder`.

    Raises:
        CheckpointError: the folder cannot be written.
    """
    from tqdm import tqdm

    files = [file for file in sorted(release.rglob("*")) if file.is_file()]
    sums: list[str] = []
    try:
        total = sum(file.stat().st_size for file in files)
        with tqdm(total=total, desc="copying", unit="B", unit_scale=True, unit_divisor=1024) as bar:
            for file in files:
                name = file.relative_to(release)
                copy = folder / name
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, copy)  # a link in the cache becomes a file
                with copy.open("rb") as stream:
                    sums.append(f"{hashlib.file_digest(stream, 'sha256').hexdigest()}  {name.as_posix()}\n")
                bar.update(copy.stat().st_size)
        (folder / "SHA256SUMS").write_text("".join(sums), encoding="utf-8")
    except OSError as error:
        raise CheckpointError(f"{folder} cannot be written ({error.strerror})") from error
    return folder
