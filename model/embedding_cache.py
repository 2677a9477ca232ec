"""Embeddings on disk, by the model that made them and the bytes that they are of."""

import hashlib
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from model.checkpoints.release_folder import ReleaseFolder
from model.encoders.tokenizer import VOCABULARY_FILES
from model.errors import CheckpointError

Embedding = NDArray[np.float32]

_KEYS_A_QUERY = 500  # SQLite allows 999 parameters in its oldest builds
_WAIT_S = 60  # for another process that writes


def fingerprint(release: ReleaseFolder, *variant: str) -> str:
    """What decides a model's embeddings: its weights, config and vocabulary, and how it is run (`variant`)."""
    parts = [release.weights_sha256()]
    files = (release.config, *(release.tokenizer / name for name in VOCABULARY_FILES))
    parts += [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
    return hashlib.sha256("\n".join([*parts, *variant]).encode()).hexdigest()


class EmbeddingCache:
    """One SQLite file a model; killed at any moment, it holds what was put into it before."""

    def __init__(self, folder: Path, model: str) -> None:
        """Open, or begin, the cache of the model with this `fingerprint`.

        Raises:
            CheckpointError: the file is damaged, or cannot be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        self.path = folder / f"{model[:32]}.sqlite"
        try:
            self._database = sqlite3.connect(self.path, timeout=_WAIT_S)
            with self._database:
                self._database.execute(
                    "CREATE TABLE IF NOT EXISTS embeddings (key BLOB PRIMARY KEY, embedding BLOB) WITHOUT ROWID"
                )
        except sqlite3.Error as error:
            raise CheckpointError(f"the embedding cache {self.path} cannot be used ({error}); delete it") from error

    def get(self, keys: Iterable[bytes]) -> dict[bytes, Embedding]:
        """The embeddings of those keys that are known."""
        wanted = list(keys)
        found: dict[bytes, Embedding] = {}
        for start in range(0, len(wanted), _KEYS_A_QUERY):
            part = wanted[start : start + _KEYS_A_QUERY]
            query = f"SELECT key, embedding FROM embeddings WHERE key IN ({','.join('?' * len(part))})"  # noqa: S608
            for key, stored in self._database.execute(query, part):
                found[key] = np.frombuffer(stored, dtype="<f4")
        return found

    def put(self, embeddings: Mapping[bytes, Embedding]) -> None:
        """Keep these embeddings."""
        rows: Sequence[tuple[bytes, bytes]] = [
            (key, embedding.astype("<f4").tobytes()) for key, embedding in embeddings.items()
        ]
        with self._database:
            self._database.executemany("INSERT OR REPLACE INTO embeddings VALUES (?, ?)", rows)

    def close(self) -> None:
        self._database.close()
