"""A real engine whose text encoder a test can block or make fail."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from model.engine import EmbeddingEngine, Embeddings

PATIENCE_S = 20


class HeldEngine(EmbeddingEngine):
    def __init__(self, engine: EmbeddingEngine) -> None:
        self.__dict__.update(engine.__dict__)
        self._free = threading.Event()
        self._free.set()
        self._error: Exception | None = None
        self.texts_seen = 0

    def embed_texts(self, token_ids: Sequence[Sequence[int]], *, normalize: bool = True, share: int = 1) -> Embeddings:
        self.texts_seen += len(token_ids)
        assert self._free.wait(PATIENCE_S)
        if self._error is not None:
            raise self._error
        return super().embed_texts(token_ids, normalize=normalize)

    def hold(self) -> None:
        """Block every text from now on."""
        self._free.clear()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """Block every text for the duration of the `with` block."""
        self.hold()
        try:
            yield
        finally:
            self._free.set()

    @contextmanager
    def failing(self, error: Exception) -> Iterator[None]:
        """Make every text fail with `error` for the duration of the `with` block."""
        self._error = error
        try:
            yield
        finally:
            self._error = None
