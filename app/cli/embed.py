"""The command `embed`: images and texts into a file of embeddings."""

import os
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from app.cli.options import (
    api_key,
    example,
    no_cache,
    plain,
    require_folder_of,
    server,
    settings_options,
    strict_images,
    take_settings,
)
from app.settings import Settings

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

verbose = click.option("-v", "--verbose", is_flag=True, help="Name every file that is skipped, with the reason")


@click.command(
    epilog=example(
        'medimageinsight embed scans/ --text "chest x-ray" -o out.npz --model lion-ai/MedImageInsights',
        "medimageinsight embed scans/ -o out.parquet --server http://localhost:8000",
        "medimageinsight embed series/ IM1 -v --strict -o out.npz",
    )
)
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=Path))
@click.option("--text", "texts", multiple=True, help="Text to embed; repeatable")
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="File to write: .npz or .parquet",
)
@plain
@no_cache
@strict_images
@verbose
@server
@api_key
@settings_options(
    "model",
    "device",
    "dtype",
    "threads",
    "decode_threads",
    "max_batch_size",
    "max_image_pixels",
    "cache_dir",
    "offline",
)
def embed(paths: tuple[Path, ...], texts: tuple[str, ...], output: Path, **given: Any) -> None:
    """Embed image files, folders of image files, and texts into one file.

    Images are found in folders by their content, whatever their names are. Other files are skipped and counted.

    The exit status is 1 if an image cannot be read (the others are written), or if there is none (nothing is written).

    The model is loaded here, or a server computes (--server). Embeddings are kept in the folder embeddings of
    --cache-dir, so that an interrupted run continues where it stopped.
    """
    if not paths and not texts:
        raise click.UsageError("name at least one PATH or --text")
    if output.suffix not in (".npz", ".parquet"):
        raise click.UsageError("--output must end in .npz or .parquet")
    require_folder_of(output)
    from app.cli.embedders import EXIT_SOME_FAILED

    if embed_into_file(paths, texts, output, take_settings(given), **given):
        sys.exit(EXIT_SOME_FAILED)


def embed_into_file(
    paths: tuple[Path, ...],
    texts: tuple[str, ...],
    output: Path,
    settings: Settings,
    *,
    strict: bool = False,
    verbose: bool = False,
    **source: Any,
) -> int:
    """Embed files, folders and texts, and write the embeddings.

    Args:
        paths: image files and folders of them.
        texts: texts.
        output: file to write, .npz or .parquet.
        settings: settings of the command.
        strict: whether an unreadable image ends the command; default False lists it on stderr and leaves it out.
        verbose: whether to name the files that are skipped; default False counts them.
        source: further arguments of `open_embedder`.

    Returns:
        The number of files that cannot be read.

    Raises:
        NoImages: there are paths, but no image in them that can be read; nothing is written.
        InvalidInput: an image is unreadable and `strict`, or a text cannot be embedded.
        CheckpointError: the model or the server cannot be used, or pyarrow is missing.
        OutputError: the file cannot be written.
    """
    from app.cli.embedders import find_files, list_left_out, open_embedder, require_embedded
    from model.data.image_source import ImageSource
    from model.errors import CheckpointError
    from model.output_file import OutputFile

    if output.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise CheckpointError("writing .parquet needs pyarrow: install medimageinsight-server[parquet]")
    found = find_files(paths, verbose=verbose, strict=strict)
    files = found.files
    with OutputFile(output) as file, open_embedder(settings, **source) as model:
        images = model.embedder.images([ImageSource(file) for file in files], strict=strict)
        list_left_out((files[position], reason) for position, reason in images.refused.items())
        failed = len(images.refused) + len(found.unreadable)
        require_embedded(images.positions, failed)
        text_features = model.embedder.texts(texts) if texts else None
        logit_scale = model.embedder.logit_scale
        embedded = [str(files[position]) for position in images.positions]
        write = _write_npz if output.suffix == ".npz" else _write_parquet
        file.write(lambda path: write(path, embedded, images.features, texts, text_features, logit_scale))
    left_out = f", {failed} left out" if failed else ""
    click.echo(f"{output}: {len(embedded)} images{left_out}, {len(texts)} texts", err=True)
    return failed


def _write_npz(
    output: Path,
    files: list[str],
    image_features: "NDArray[np.float32]",
    texts: tuple[str, ...],
    text_features: "NDArray[np.float32] | None",
    logit_scale: float,
) -> None:
    import numpy as np

    columns: dict[str, Any] = {"logit_scale": np.float32(logit_scale)}
    if files:
        columns |= {"image_paths": np.array(files), "image_features": image_features}
    if text_features is not None:
        columns |= {"texts": np.array(texts), "text_features": text_features}
    with output.open("wb") as stream:  # to a path, numpy would add the suffix .npz
        np.savez(stream, **columns)


def _write_parquet(
    output: Path,
    files: list[str],
    image_features: "NDArray[np.float32]",
    texts: tuple[str, ...],
    text_features: "NDArray[np.float32] | None",
    _logit_scale: float,
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    vectors = [*(image_features if files else ()), *(() if text_features is None else text_features)]
    columns = {
        "kind": ["image"] * len(files) + ["text"] * len(texts),
        "source": [*map(_as_utf8, files), *texts],
        "features": pa.array([vector.tolist() for vector in vectors], pa.list_(pa.float32())),
    }
    pq.write_table(pa.table(columns), output)


def _as_utf8(name: str) -> str:
    """A file's name for a table that holds only valid UTF-8: bytes of another encoding become backslash escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
