"""A server whose device needs 0.2 s per batch of texts: `python -m tests.support.servers.slow_server`."""

import time
from collections.abc import Sequence

from model.engine import EmbeddingEngine, Embeddings
from tests.support.servers.altered_server import serve_with

BATCH_S = 0.2


class SlowEngine(EmbeddingEngine):
    def __init__(self, engine: EmbeddingEngine) -> None:
        self.__dict__.update(engine.__dict__)

    def embed_texts(self, token_ids: Sequence[Sequence[int]], *, normalize: bool = True, share: int = 1) -> Embeddings:
        time.sleep(BATCH_S)
        return super().embed_texts(token_ids, normalize=normalize, share=share)


if __name__ == "__main__":
    serve_with(SlowEngine)
