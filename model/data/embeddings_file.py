"""Files of embeddings that `medimageinsight embed` writes: .npz or Parquet."""

import json
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.data.text_lines import as_utf8
from model.errors import ManifestError
from model.imaging.preprocessing import Preprocessing

Features = NDArray[np.float32]


@dataclass(frozen=True)
class EmbeddingsFile:
    """The content of a file of embeddings.

    Attributes:
        image_paths: n paths, as they were given to the command.
        image_features: (n, D), unit norm.
        model: name of the model.
        weights_sha256: hexadecimal SHA-256 of the model's weights.
        preprocessing: how the images were preprocessed.
    """

    image_paths: list[str]
    image_features: Features
    model: str
    weights_sha256: str
    preprocessing: Preprocessing

    @property
    def identity(self) -> dict[str, str]:
        """What made the embeddings, as texts: `model`, `weights_sha256` and `preprocessing`, which is JSON."""
        return {
            "model": self.model,
            "weights_sha256": self.weights_sha256,
            "preprocessing": json.dumps(self.preprocessing.params()),
        }

    def write_npz(self, file: Path, texts: tuple[str, ...], text_features: Features | None, logit_scale: float) -> None:
        """Write the arrays `image_paths`, `image_features`, `texts`, `text_features`, `logit_scale`, and the identity.

        Args:
            file: the file, whatever its suffix is.
            texts: m texts; if there are none, their two arrays are missing, and so it is with images.
            text_features: (m, D), unit norm.
            logit_scale: the model's log temperature.
        """
        columns: dict[str, Any] = {"logit_scale": np.float32(logit_scale), **self.identity}
        if self.image_paths:
            columns |= {"image_paths": np.array(self.image_paths), "image_features": self.image_features}
        if text_features is not None:
            columns |= {"texts": np.array(texts), "text_features": text_features}
        with file.open("wb") as stream:  # to a path, numpy would add the suffix .npz
            np.savez(stream, **columns)

    def write_parquet(self, file: Path, texts: tuple[str, ...], text_features: Features | None) -> None:
        """Write the columns `kind` (image or text), `source` and `features`, with the identity as metadata.

        Args:
            file: the file, whatever its suffix is.
            texts: m texts.
            text_features: (m, D), unit norm.
        """
        import pyarrow as pa
        import pyarrow.parquet as pq

        image_features = self.image_features if self.image_paths else ()
        vectors = [*image_features, *(() if text_features is None else text_features)]
        columns = {
            "kind": ["image"] * len(self.image_paths) + ["text"] * len(texts),
            "source": [*map(as_utf8, self.image_paths), *texts],
            "features": pa.array([vector.tolist() for vector in vectors], pa.list_(pa.float32())),
        }
        pq.write_table(pa.table(columns).replace_schema_metadata(self.identity), file)


def read_embeddings(file: Path) -> EmbeddingsFile:
    """Read the embeddings of images from a .npz or .parquet file.

    Raises:
        ManifestError: the file is damaged, holds no embeddings of images, or does not name the model that made them.
    """
    try:
        paths, features, identity = _read_parquet(file) if file.suffix == ".parquet" else _read_npz(file)
        if features.ndim != 2 or not features.size or len(paths) != len(features):
            raise ManifestError(f"{file} has no embeddings of images")
        if not identity.get("weights_sha256"):
            raise ManifestError(f"{file} does not name the weights that made its embeddings; embed the images again")
        preprocessing = Preprocessing.from_params(json.loads(identity["preprocessing"]))
        return EmbeddingsFile(paths, features, identity["model"], identity["weights_sha256"], preprocessing)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, zipfile.BadZipFile) as error:
        raise ManifestError(f"{file} cannot be read as embeddings that `medimageinsight embed` wrote") from error


def _read_npz(file: Path) -> tuple[list[str], Features, dict[str, str]]:
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as stored:
        if "image_features" not in stored:
            return [], np.empty((0, 0), np.float32), {}
        identity = {name: str(stored[name]) for name in ("model", "weights_sha256", "preprocessing") if name in stored}
        return stored["image_paths"].tolist(), stored["image_features"].astype(np.float32), identity


def _read_parquet(file: Path) -> tuple[list[str], Features, dict[str, str]]:
    try:
        import pyarrow as pa
        import pyarrow.compute as pc
        import pyarrow.parquet as pq
    except ImportError as error:
        raise ManifestError("reading .parquet needs pyarrow: install medimageinsight-server[parquet]") from error
    try:
        table = pq.read_table(file)
        identity = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
        images = table.filter(pc.equal(table["kind"], "image"))
        vectors = images["features"].combine_chunks()
        sizes = pc.unique(pc.list_value_length(vectors)).to_pylist()
        size = sizes[0] if len(sizes) == 1 and not vectors.null_count else 0
        flat = vectors.flatten().to_numpy(zero_copy_only=False).astype(np.float32)
    except pa.ArrowException as error:
        raise ValueError(str(error)) from error
    return images["source"].to_pylist(), flat.reshape(-1, size) if size else np.empty((0, 0), np.float32), identity
