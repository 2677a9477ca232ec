"""Engine whose embeddings are colours: the mean colour of an image, and the sum of the colours that a text names."""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike
from PIL import Image

from model.data.manifest import Manifest, read_manifest
from model.engine import EmbeddingEngine
from model.imaging import images
from model.imaging.preprocessing import preprocess

COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1)}
WORDS = [*COLOURS, "no"]


class ColourEngine(EmbeddingEngine):
    """Engine without a model. A text with the word "no" gets the opposite of its colours."""

    def __init__(self) -> None:
        self.cpus, self.logit_scale, self.embedded = 2, 3.0, 0

    def preprocess_image(self, image: bytes, standardization: object = None, rendering: object = None) -> Any:
        return preprocess(images.decode(image, max_pixels=10_000), (4, 4), None)

    def tokenize(self, text: str) -> tuple[int, ...]:
        return tuple(WORDS.index(word) for word in text.split() if word in WORDS)

    def stage_images(self, pixels: Sequence[Any]) -> torch.Tensor:
        return torch.from_numpy(np.stack(pixels))

    def embed_images(self, staged: Sequence[torch.Tensor], *, normalize: bool = True, share: int = 1) -> Any:
        self.embedded += sum(map(len, staged))
        return unit(torch.cat(list(staged)).float().mean(dim=(1, 2)).numpy())

    def embed_texts(self, token_ids: Sequence[Sequence[int]], *, normalize: bool = True, share: int = 1) -> Any:
        vectors = [
            np.sum([COLOURS[WORDS[token]] for token in ids if WORDS[token] in COLOURS], axis=0) for ids in token_ids
        ]
        signs = [-1 if WORDS.index("no") in ids else 1 for ids in token_ids]
        return unit(np.array(vectors, dtype=np.float32) * np.array(signs)[:, None])


def unit(vectors: Any) -> Any:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def png(colour: ArrayLike) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (4, 4), tuple(int(part) for part in np.clip(colour, 0, 255))).save(stream, "PNG")
    return stream.getvalue()


def write_manifest(folder: Path, rows: int = 60, *, noise: float = 20, seed: int = 0, split: str = "test") -> Path:
    """Write images of noisy colours, two per group, and their manifest with label, text, sex, age and site.

    The age increases with the red value. Returns the path of the manifest.
    """
    rng = np.random.default_rng(seed)
    lines = ["path,label,text,split,group,sex,age,site"]
    for row in range(rows):
        name = list(COLOURS)[row // 2 % 3]
        colour = np.array(COLOURS[name]) * 120 + 60 + rng.normal(0, noise, 3)
        file = f"{split}-{seed}-{row}.png"
        (folder / file).write_bytes(png(colour))
        sex, site = "fm"[row % 2], f"site {row // 10 % 2}"
        lines.append(f"{file},{name},{name},{split},{split}{seed}g{row // 2},{sex},{colour[0] / 2:.1f},{site}")
    manifest = folder / f"{split}-{seed}.csv"
    manifest.write_text("\n".join(lines) + "\n")
    return manifest


def colour_manifest(folder: Path, rows: int = 60, **options: Any) -> Manifest:
    """The manifest that `write_manifest` writes."""
    return read_manifest(write_manifest(folder, rows, **options))
