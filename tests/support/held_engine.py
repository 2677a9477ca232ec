"""A real engine whose text encoder can be held, or made to fail, while a test looks at what happens meanwhile."""

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
        """No text is embedded from here on."""
        self._free.clear()

    @contextmanager
    def holding(self) -> Iterator[None]:
        """No text is embedded while the body runs."""
        self.hold()
        try:
            yield
        finally:
            self._free.set()

    @contextmanager
    def failing(self, error: Exception) -> Iterator[None]:
        """Every text fails while the body runs."""
        self._error = error
        try:
            yield
        finally:
            self._error = None
