"""Release folders of a model that is small enough to write one per test."""

import copy
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from open_clip.tokenizer import bytes_to_unicode
from safetensors.numpy import save_file

from model.checkpoints.checkpoint import release_key
from model.config import read_config
from model.encoders.medimageinsight import MedImageInsight
from tests.parity.make_checkpoint import tensor

ABSENT = object()  # a value of `changes` that removes the key
CONFIG: dict[str, Any] = {
    "IMAGE_ENCODER": {
        "NAME": "davit_v1",
        "NUM_CLASSES": 0,
        "IMAGE_SIZE": [64, 64],
        "IMAGE_MEAN": [0.5, 0.4, 0.3],
        "IMAGE_STD": [0.25, 0.2, 0.15],
        "SPEC": {
            "DROP_PATH_RATE": 0.1,
            "PATCH_SIZE": [7, 3, 3, 3],
            "PATCH_STRIDE": [4, 2, 2, 2],
            "PATCH_PADDING": [3, 1, 1, 1],
            "PATCH_PRENORM": [False, True, True, True],
            "DIM_EMBED": [8, 16, 24, 32],
            "NUM_HEADS": [1, 2, 3, 4],
            "NUM_GROUPS": [1, 2, 3, 4],
            "DEPTHS": [1, 1, 2, 1],
            "WINDOW_SIZE": 3,
        },
    },
    "LANG_ENCODER": {
        "NAME": "transformer",
        "TOKENIZER": "clip",
        "CONTEXT_LENGTH": 16,
        "WIDTH": 24,
        "HEADS": 3,
        "LAYERS": 2,
        "AUTOGRESSIVE": False,
    },
    "UNICL_MODEL": {"DIM_PROJECTION": 20},
    "AUG": {"INTERPOLATION": "bicubic"},
    "TEST": {"CENTER_CROP": False},
}
MERGES = ("c h", "e s", "ch es", "ches t</w>")
VOCABULARY_SIZE = 2 * 256 + len(MERGES) + 2


def write_config(folder: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """Write `CONFIG` with some values changed. Returns its path.

    Args:
        folder: folder of the file.
        changes: full key -> value, such as {"LANG_ENCODER.WIDTH": 32}; `ABSENT` removes the key.
    """
    config = copy.deepcopy(CONFIG)
    for key, value in (changes or {}).items():
        *path, last = key.split(".")
        section = config
        for name in path:
            section = section[name]
        if value is ABSENT:
            del section[last]
        else:
            section[last] = value
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    return folder / "config.yaml"


def write_vocabulary(folder: Path) -> Path:
    """Write a CLIP vocabulary of single letters and the word "chest". Returns its folder."""
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(merge.split()) for merge in MERGES)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *MERGES, ""]))
    return folder


def weights_of(config: Path) -> dict[str, NDArray[np.float32]]:
    """Pseudo-random weights for a config, by their names in the release."""
    with torch.device("meta"):
        model = MedImageInsight(read_config(config), VOCABULARY_SIZE)
    keys = {release_key(name): list(parameter.shape) for name, parameter in model.state_dict().items()}
    return {key: tensor(key, shape) for key, shape in keys.items()}


def write_release(folder: Path, changes: Mapping[str, Any] | None = None) -> Path:
    """Write a release folder: config, weights and vocabulary. Returns its path."""
    (folder / "vision_model").mkdir(parents=True)
    config = write_config(folder, changes)
    save_file(weights_of(config), folder / "vision_model" / "weights.pt")
    write_vocabulary(folder / "language_model" / "clip_tokenizer")
    return folder
