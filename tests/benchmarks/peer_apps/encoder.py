"""What all peers share: one row of a request to its vector, by the same engine as ours."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.engine import EmbeddingEngine
from model.imaging.base64_images import decode_base64


class Encoder:
    """The engine of the folder that PEER_FOLDER names, for the rows of one kind: PEER_KIND is image or text."""

    def __init__(self) -> None:
        self.kind = os.environ["PEER_KIND"]
        self.engine = EmbeddingEngine.load(Path(os.environ["PEER_FOLDER"]), device="cpu")

    def prepare(self, value: str) -> Any:
        """Pixels of a base64 image, or the ids of a text."""
        if self.kind == "image":
            return self.engine.preprocess_image(decode_base64(value))
        return self.engine.tokenize(value)

    def encode(self, prepared: Sequence[Any]) -> list[list[float]]:
        """Vectors of what was prepared, as lists."""
        if self.kind == "image":
            embeddings = self.engine.embed_images([self.engine.stage_images(prepared)])
        else:
            embeddings = self.engine.embed_texts(prepared)
        vectors: list[list[float]] = embeddings.tolist()
        return vectors
