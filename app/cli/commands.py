"""What the commands beside `serve` do; each works without a server."""

import hashlib
import json
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from app.inference.model_loader import find_model, load_engine
from app.settings import Settings
from model.errors import CheckpointError, ImageDecodeError, InvalidInput

if TYPE_CHECKING:
    from model.engine import EmbeddingEngine, Pixels
    from model.imaging.preprocessing import Standardization

Item = TypeVar("Item")
IMAGE_SUFFIXES = (
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp", ".jp2"),
    *(".dcm", ".dicom", ".nii", ".nii.gz", ".nrrd"),
)
CPU_BATCH_SIZE, GPU_BATCH_SIZE = 8, 32


def print_info(settings: Settings) -> None:
    """Print a model's files and sizes as JSON, without building it."""
    from model.checkpoints.release_folder import find_release_folder
    from model.config import read_config

    release = find_release_folder(find_model(settings))
    config = read_config(release.config)
    facts = {
        "name": release.name,
        "config": str(release.config),
        "weights": str(release.weights),
        "weights_bytes": release.weights.stat().st_size,
        "weights_sha256": release.weights_sha256(),
        "demonstration": release.is_demonstration,
        "tokenizer": str(release.tokenizer),
        "embedding_size": config.embedding_size,
        "image_encoder": vars(config.image),
        "text_encoder": vars(config.text),
    }
    click.echo(json.dumps(facts, indent=2))


def download_model(hub_id: str, settings: Settings) -> Path:
    """Download a model into the cache; returns its folder.

    Raises:
        CheckpointError: not a Hugging Face id, or the download failed.
    """
    from model.checkpoints.hub import HubId, download

    parsed = HubId.parse(hub_id)
    if parsed is None:
        raise CheckpointError(f"{hub_id!r} is no Hugging Face id; write owner/name or owner/name@revision")
    return download(parsed, cache_dir=settings.cache_dir.expanduser())


def carry_out(release: Path, folder: Path) -> Path:
    """Copy a release folder to a folder to be carried elsewhere, with SHA256SUMS as `sha256sum --check` reads it.

    Raises:
        CheckpointError: the folder cannot be written.
    """
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


def embed_to_file(
    paths: Sequence[Path], texts: Sequence[str], output: Path, settings: Settings, *, plain: bool, strict: bool
) -> None:
    """Embed image files, folders of them, and texts, into an .npz or .parquet file.

    An unreadable image is named on stderr and left out, unless `strict`.

    Raises:
        InvalidInput: an image is unreadable and `strict`, or a text is no Unicode.
        CheckpointError: the model cannot be used, or pyarrow is missing.
    """
    from model.imaging.preprocessing import Standardization

    _check_output(output)
    files = list(image_files(paths))
    engine = load_engine(settings).engine
    standardization = None if plain else Standardization()
    batch_size = settings.max_batch_size or (CPU_BATCH_SIZE if engine.device.type == "cpu" else GPU_BATCH_SIZE)
    threads = settings.decode_threads or engine.cpus
    embedded, image_features = _embed_files(engine, files, standardization, batch_size, threads, strict)
    text_features = [
        engine.embed_texts([engine.tokenize(text)])[0] for text in tqdm(texts, desc="texts", disable=not texts)
    ]
    _write(output, embedded, image_features, texts, text_features, engine.logit_scale)
    left_out = f", {len(files) - len(embedded)} left out" if len(embedded) < len(files) else ""
    click.echo(f"{output}: {len(embedded)} images{left_out}, {len(texts)} texts", err=True)


def embed_with_server(
    paths: Sequence[Path], texts: Sequence[str], output: Path, url: str, *, plain: bool, api_key: str
) -> None:
    """As `embed_to_file`, but a server computes; the first image that it refuses ends the command.

    Raises:
        InvalidInput: the server refused an image or a text; the message names it.
        CheckpointError: there is no server, or pyarrow is missing.
    """
    import httpx2

    from medimageinsight import Client, Refused

    _check_output(output)
    files = list(image_files(paths))
    params: dict[str, Any] = {"image_standardization_jpeg_compression_ratio": 0} if plain else {}
    try:
        with Client(url, api_key=api_key or None) as client:
            image_features = list(client.embed_images(files, **params)) if files else []
            text_features = list(client.embed_texts(texts)) if texts else []
            logit_scale = float(client.info()["model"]["scaling_factor"])
    except Refused as error:
        place = "" if error.item is None or not files else f"{files[error.item]}: "
        raise InvalidInput(f"{place}{error}") from error
    except (httpx2.HTTPError, httpx2.InvalidURL) as error:
        raise CheckpointError(f"no server answers at {url} ({type(error).__name__})") from error
    except OSError as error:
        raise ImageDecodeError(f"{error.filename} cannot be read ({error.strerror})") from error
    _write(output, files, image_features, texts, text_features, logit_scale)
    click.echo(f"{output}: {len(files)} images, {len(texts)} texts", err=True)


def _check_output(output: Path) -> None:
    if output.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise CheckpointError("writing .parquet needs pyarrow: install medimageinsight-server[parquet]")


def _embed_files(
    engine: "EmbeddingEngine",
    files: Sequence[Path],
    standardization: "Standardization | None",
    batch_size: int,
    threads: int,
    strict: bool,
) -> tuple[list[Path], list[NDArray[np.float32]]]:
    """Decode in a pool while the device works; at most two batches of decoded images are in memory."""

    def decode(file: Path) -> "Pixels | InvalidInput":
        try:
            return engine.preprocess_image(file.read_bytes(), standardization)
        except InvalidInput as error:
            return error
        except OSError as error:
            return ImageDecodeError(f"the file cannot be read ({error.strerror})")

    embedded: list[Path] = []
    features: list[NDArray[np.float32]] = []
    with (
        ThreadPoolExecutor(threads) as pool,
        tqdm(total=len(files), desc="images", unit="image", disable=not files) as bar,
    ):
        for batch in _batches(_ahead(pool, decode, files, 2 * batch_size), batch_size):
            readable: list[tuple[Path, Pixels]] = []
            for file, pixels in batch:
                if isinstance(pixels, InvalidInput):
                    if strict:
                        raise type(pixels)(f"{file}: {pixels}")
                    tqdm.write(f"left out {file}: {pixels}")
                else:
                    readable.append((file, pixels))
            if readable:
                features.extend(engine.embed_images([engine.stage_images([pixels for _, pixels in readable])]))
                embedded.extend(file for file, _ in readable)
            bar.update(len(batch))
    return embedded, features


def _ahead(pool: ThreadPoolExecutor, function: Any, files: Iterable[Path], count: int) -> Iterator[tuple[Path, Any]]:
    """Results in order, with `count` calls in flight before the one that is asked for."""
    waiting = iter(files)
    running = [(file, pool.submit(function, file)) for file in islice(waiting, count)]
    while running:
        file, future = running.pop(0)
        yield file, future.result()
        running.extend((file, pool.submit(function, file)) for file in islice(waiting, 1))


def _batches(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def image_files(paths: Iterable[Path]) -> Iterator[Path]:
    """Files as they are named; of folders, every file that an image's suffix marks, sorted."""
    for path in paths:
        if path.is_dir():
            yield from sorted(
                file for file in path.rglob("*") if file.name.lower().endswith(IMAGE_SUFFIXES) and file.is_file()
            )
        else:
            yield path


def _write(
    output: Path,
    files: Sequence[Path],
    image_features: Sequence[NDArray[np.float32]],
    texts: Sequence[str],
    text_features: Sequence[NDArray[np.float32]],
    logit_scale: float,
) -> None:
    if output.suffix == ".npz":
        columns: dict[str, Any] = {"logit_scale": np.float32(logit_scale)}
        if files:
            columns |= {
                "image_paths": np.array([str(file) for file in files]),
                "image_features": np.stack(image_features),
            }
        if texts:
            columns |= {"texts": np.array(texts), "text_features": np.stack(text_features)}
        np.savez(output, **columns)
        return
    import pyarrow as pa
    import pyarrow.parquet as pq

    kinds = ["image"] * len(files) + ["text"] * len(texts)
    names = [*(str(file) for file in files), *texts]
    vectors = [vector.tolist() for vector in (*image_features, *text_features)]
    pq.write_table(
        pa.table({"kind": kinds, "source": names, "features": pa.array(vectors, pa.list_(pa.float32()))}), output
    )
