"""A release folder of a tiny model with random weights, and images that it can learn."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import yaml
from open_clip.tokenizer import bytes_to_unicode
from PIL import Image

from model.checkpoints.checkpoint import new_model, save_model
from model.config import read_config
from model.encoders.tokenizer import Tokenizer
from tests.parity.make_checkpoint import HERE

LABELS = ("dark", "bright", "striped")
SPEC = {
    "DROP_PATH_RATE": 0.0,
    "DIM_EMBED": [8, 16, 16, 32],
    "NUM_HEADS": [1, 2, 2, 4],
    "NUM_GROUPS": [1, 2, 2, 4],
    "DEPTHS": [1, 1, 1, 1],
    "WINDOW_SIZE": 4,
}


def make_tiny_release(folder: Path, *, drop_path: float = 0.0, embedding_size: int = 16) -> Path:
    """Write a model for images of 32 pixels, with a vocabulary of single bytes. Returns its release folder."""
    tokenizer = folder / "parts" / "tokenizer"
    tokenizer.mkdir(parents=True)
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>", "<|endoftext|>"]
    (tokenizer / "vocab.json").write_text(json.dumps({token: number for number, token in enumerate(tokens)}))
    (tokenizer / "merges.txt").write_text("#version: 0.2\n")
    document = yaml.safe_load((HERE / "config_small.yaml").read_text())
    document["IMAGE_ENCODER"]["IMAGE_SIZE"] = [32, 32]
    document["IMAGE_ENCODER"]["SPEC"] |= SPEC | {"DROP_PATH_RATE": drop_path}
    document["LANG_ENCODER"] |= {"WIDTH": 16, "HEADS": 2, "LAYERS": 1, "CONTEXT_LENGTH": 24}
    document["UNICL_MODEL"]["DIM_PROJECTION"] = embedding_size
    config_file = folder / "parts" / "config.yaml"
    config_file.write_text(yaml.safe_dump(document))
    config = read_config(config_file)
    model = new_model(config, Tokenizer(tokenizer, config.text.context_length).vocabulary_size)
    release = folder / "tiny"
    save_model(model, release, config=config_file, tokenizer=tokenizer)
    return release


def write_pictures(folder: Path, count: int) -> list[dict[str, str]]:
    """Write noisy images of three labels; every fourth is for validation. Returns the rows of their manifest."""
    rng = np.random.default_rng(0)
    records = []
    for number in range(count):
        label = LABELS[number % len(LABELS)]
        values = rng.normal({"dark": 60, "bright": 190, "striped": 120}[label], 12, (40, 36))
        if label == "striped":
            values[::4] += 90
        name = f"{number}.png"
        Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(folder / name)
        split = "val" if number % 4 == 3 else "train"
        records.append(
            {"path": name, "label": label, "split": split, "group": f"p{number}", "source": f"s{number % 2}"}
        )
    return records


def write_manifest(path: Path, records: Sequence[dict[str, str]]) -> Path:
    """Write a manifest as CSV. Returns its path."""
    with path.open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(records[0]))
        writer.writeheader()
        writer.writerows(records)
    return path
