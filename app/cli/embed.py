"""The command `embed`: images and texts into a file of embeddings."""

import sys
from pathlib import Path
from typing import Any

import click

from app.cli.options.from_settings import settings_options, take_settings
from app.cli.options.preprocessing import preprocessing_options, take_preprocessing
from app.cli.options.shared import (
    api_key,
    example,
    no_cache,
    require_folder_of,
    require_pyarrow_for,
    server,
    strict_images,
    verbose,
)
from app.settings import Settings


@click.command(
    short_help="Embed images and texts into one file.",
    epilog=example(
        'medimageinsight embed scans/ scan.dcm --text "chest x-ray" -o out.npz',
        "medimageinsight embed scans/ -o out.npz --model lion-ai/MedImageInsights",
        "medimageinsight embed scans/ -o out.parquet --server localhost:8000",
    ),
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
@preprocessing_options
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
    from app.cli.inputs import EXIT_SOME_FAILED

    settings, preprocessing = take_settings(given), take_preprocessing(given)
    if embed_into_file(paths, texts, output, settings, preprocessing=preprocessing, **given):
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
        CheckpointError: the model or the server cannot be used.
        ExtraMissing: the file is Parquet, and pyarrow is not installed.
        OutputError: the file cannot be written.
    """
    from app.cli.embedders.embedding_model import open_embedder
    from app.cli.inputs import find_files, list_left_out, require_embedded
    from model.data.embeddings_file import EmbeddingsFile
    from model.data.image_source import ImageSource
    from model.output_file import OutputFile

    require_pyarrow_for(output)
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
        content = EmbeddingsFile(embedded, images.features, model.name, model.weights_sha256(), source["preprocessing"])
        if output.suffix == ".npz":
            file.write(lambda path: content.write_npz(path, texts, text_features, logit_scale))
        else:
            file.write(lambda path: content.write_parquet(path, texts, text_features))
    left_out = f", {failed} left out" if failed else ""
    click.echo(f"{output}: {len(embedded)} images{left_out}, {len(texts)} texts", err=True)
    return failed
