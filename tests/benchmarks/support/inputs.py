"""Request bodies. All differ, so that no cache can answer them, and all are made before a measurement starts."""

import base64
import io
import itertools
import json
import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from tests.benchmarks.support.release import PARITY, input_data

# Grey and colour, PNG and JPEG, 128 to 660 pixels: formats that both our server and the reference read.
BASE_IMAGES = ("ct_gray.png", "fundus_rgb.jpg", "histology_rgb.png", "microscopy_gray.png")
PATCH_PIXELS = 48  # side of a square of noise, large enough to remain after resizing and JPEG

MODALITIES = (
    "x-ray", "ct", "mri", "ultrasound", "pet", "mammography", "fluoroscopy", "angiography", "oct", "dermoscopy",
    "endoscopy", "histology",
)  # fmt: skip
REGIONS = (
    "chest", "abdomen", "pelvis", "brain", "spine", "knee", "hip", "shoulder", "wrist", "hand", "foot", "ankle",
    "liver", "kidney", "heart", "breast", "neck", "skull", "elbow", "retina",
)  # fmt: skip
FINDINGS = (
    "normal", "fracture", "pneumonia", "mass", "nodule", "edema", "effusion", "hernia", "cyst", "stone", "abscess",
    "metastasis", "atelectasis", "fibrosis", "calcification", "aneurysm", "hemorrhage", "infarct", "stenosis", "tumor",
)  # fmt: skip
VIEWS = ("anteroposterior", "lateral", "axial", "coronal", "sagittal")


def labels(count: int) -> list[str]:
    """`count` different short medical labels of about ten tokens each; every call gives the same ones."""
    every = [" ".join(words) for words in itertools.product(MODALITIES, REGIONS, VIEWS, FINDINGS)]
    if count > len(every):
        raise ValueError(f"{count} labels were requested, but only {len(every)} exist")
    return random.Random(0).sample(every, count)


def images(count: int) -> list[bytes]:
    """`count` different encoded images: a base image with a patch of noise each."""
    noise = np.random.default_rng(0)
    bases = [Image.open(PARITY / "images" / name) for name in BASE_IMAGES]
    return [_varied(bases[number % len(bases)], noise) for number in range(count)]


def image_bodies(encoded: Iterable[bytes], params: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return [input_data("image", [base64.b64encode(data).decode()], params) for data in encoded]


def text_bodies(texts: Iterable[str]) -> list[dict[str, Any]]:
    return [input_data("text", [text]) for text in texts]


def noise_png(noise: np.random.Generator, side: int) -> bytes:
    """A PNG of coloured noise, which does not compress: about 3 * side * side bytes. `side` is in pixels."""
    file = io.BytesIO()
    pixels = noise.integers(0, 256, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()


def write_lines(path: Path, bodies: Iterable[dict[str, Any]]) -> Path:
    """Write one JSON body per line, the input of `tests.benchmarks.support.load_client`."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(json.dumps(body) + "\n" for body in bodies)
    return path


def _varied(base: Image.Image, noise: np.random.Generator) -> bytes:
    pixels = np.array(base)
    top, left = (int(noise.integers(0, length - PATCH_PIXELS)) for length in pixels.shape[:2])
    patch = pixels[top : top + PATCH_PIXELS, left : left + PATCH_PIXELS]
    patch[:] = noise.integers(0, 256, patch.shape, dtype=np.uint8)
    file = io.BytesIO()
    if base.format == "JPEG":
        Image.fromarray(pixels).save(file, "JPEG", quality=90)
    else:
        Image.fromarray(pixels).save(file, "PNG", compress_level=1)
    return file.getvalue()
