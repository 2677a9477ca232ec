"""The encoder that all peers share: the engine of this project turns the value of a row into a vector."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from model.engine import EmbeddingEngine
from model.imaging.base64_images import decode_base64


class Encoder:
    """The engine of the release folder PEER_FOLDER, for rows of the kind PEER_KIND: image or text."""

    def __init__(self) -> None:
        self.kind = os.environ["PEER_KIND"]
        self.engine = EmbeddingEngine.load(Path(os.environ["PEER_FOLDER"]), device="cpu")

    def prepare(self, value: str) -> Any:
        """The pixels of a base64 image, or the token ids of a text."""
        if self.kind == "image":
            return self.engine.preprocess_image(decode_base64(value))
        return self.engine.tokenize(value)

    def encode(self, prepared: Sequence[Any]) -> list[list[float]]:
        """The vectors of prepared values, as lists."""
        if self.kind == "image":
            embeddings = self.engine.embed_images([self.engine.stage_images(prepared)])
        else:
            embeddings = self.engine.embed_texts(prepared)
        vectors: list[list[float]] = embeddings.tolist()
        return vectors
