"""Cache of embeddings on disk, by model and by the bytes that were embedded."""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.checkpoints.release_folder import ReleaseFolder
from model.encoders.tokenizer import VOCABULARY_FILES
from model.errors import CheckpointError
from model.imaging.preprocessing import PREPROCESSING_VERSION

Embedding = NDArray[np.float32]

DISTRIBUTION = "medimageinsight-server"
_KEYS_PER_QUERY = 500  # the oldest builds of SQLite allow 999 parameters
_LOCK_TIMEOUT_S = 60  # while another process writes


def fingerprint(release: ReleaseFolder, *variant: str) -> str:
    """Hexadecimal SHA-256 of everything that determines a model's embeddings, this program's version included.

    Args:
        release: the model; its weights, config and vocabulary count.
        variant: how the model is run, such as its device and number format.
    """
    parts = [release.weights_sha256()]
    files = (release.config, *(release.tokenizer / name for name in VOCABULARY_FILES))
    parts += [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    parts += [f"preprocessing {PREPROCESSING_VERSION}", f"{DISTRIBUTION} {version(DISTRIBUTION)}"]
    return hashlib.sha256("\n".join([*parts, *variant]).encode()).hexdigest()


class EmbeddingCache:
    """Embeddings of one model in one SQLite file. A killed process loses nothing that `put` has returned from."""

    def __init__(self, folder: Path, model: str) -> None:
        """Open the cache of a model, or create it.

        Args:
            folder: folder of the caches of all models; created if it is missing.
            model: fingerprint of the model.

        Raises:
            CheckpointError: the file is damaged or cannot be written.
        """
        self.path = folder / f"{model[:32]}.sqlite"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._database = sqlite3.connect(self.path, timeout=_LOCK_TIMEOUT_S)
            with self._database:
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS embeddings (key BLOB PRIMARY KEY, embedding BLOB) WITHOUT ROWID"
                )
        except OSError as error:
            raise CheckpointError(
                f"the folder {folder} of the embedding cache cannot be written ({error.strerror}); "
                "choose another one, or use no cache"
            ) from error
        except sqlite3.DatabaseError as error:
            raise CheckpointError(_unusable(self.path, error)) from error

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Embedding]:
        """The embeddings of those keys that are in the cache.

        Raises:
            CheckpointError: the file is damaged.
        """
        wanted = list(keys)
        found: dict[bytes, Embedding] = {}
        for start in range(0, len(wanted), _KEYS_PER_QUERY):
            part = wanted[start : start + _KEYS_PER_QUERY]
            query = f"SELECT key, embedding FROM embeddings WHERE key IN ({','.join('?' * len(part))})"  # noqa: S608
            try:
                found |= {key: np.frombuffer(stored, "<f4") for key, stored in self._database.execute(query, part)}
            except sqlite3.DatabaseError as error:
                raise CheckpointError(_unusable(self.path, error)) from error
        return found

    def put(self, embeddings: Mapping[bytes, Embedding]) -> None:
        """Store these embeddings, and replace those of the same keys.

        Raises:
            CheckpointError: the file cannot be written.
        """
        rows: Sequence[tuple[bytes, bytes]] = [
            (key, embedding.astype("<f4").tobytes()) for key, embedding in embeddings.items()
        ]
        try:
            with self._database:
                self._database.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?)", rows)
        except sqlite3.DatabaseError as error:
            raise CheckpointError(f"the embedding cache {self.path} cannot be written ({error})") from error

    def close(self) -> None:
        """Close the file."""
        self._database.close()


def _unusable(path: Path, error: sqlite3.DatabaseError) -> str:
    return f"the embedding cache {path} cannot be used ({error}); delete it, or use no cache"
