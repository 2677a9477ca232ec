"""Write a deterministic MedImageInsight release folder for tests of numerical parity.

    python -m tests.parity.make_checkpoint small OUT_DIR     # 27 MB, one second
    python -m tests.parity.make_checkpoint full  OUT_DIR     # 2.46 GB, the keys and shapes of the released model

The weights are pseudo-random, drawn per key from Philox(crc32(key)), so each machine writes the same bytes. They have
no medical meaning, but each key influences the embeddings. CLIP's vocabulary is taken from open_clip_torch.
"""

import argparse
import gzip
import json
import shutil
import zlib
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from open_clip.tokenizer import bytes_to_unicode
from safetensors.numpy import save_file
from tqdm import tqdm

HERE = Path(__file__).parent
RELEASE = "2024.09.27"
WEIGHTS = "medimageinsigt-v1.0.0.pt"
WEIGHTS_SHA256 = {
    "small": "6885bfabaa143c304e1ff2f49c68f6168d27a0df4caa98696d144126ff3af352",
    "full": "2ccb2c00ab1dccd93b6bc3cdcff0fdd2c4662950637f04c3603482c0c0a3cfc5",
}
SCALE = 4.513362407684326
MERGES = 49152 - 256 - 2
TOKENIZER_CONFIG = {
    "tokenizer_class": "CLIPTokenizer",
    "do_lower_case": True,
    "model_max_length": 77,
    "errors": "replace",
    "bos_token": "<|startoftext|>",
    "eos_token": "<|endoftext|>",
    "unk_token": "<|endoftext|>",
    "pad_token": "<|endoftext|>",
}


def tensor(key: str, shape: list[int]) -> NDArray[np.float32]:
    """Draw the weights of one key of the checkpoint."""
    if key == "logit_scale":
        return np.array(SCALE, dtype=np.float32)
    rng = np.random.Generator(np.random.Philox(zlib.crc32(key.encode())))
    x = rng.standard_normal(shape, dtype=np.float32)
    if key.endswith("token_embedding.weight"):
        return x * np.float32(0.5)
    if key.endswith("positional_embedding"):
        return x * np.float32(0.1)
    if len(shape) == 1:  # biases, and the weights of the layer norms
        return x * np.float32(0.1) + np.float32(key.endswith("weight"))
    fan_in = shape[0] if key.endswith("_projection") else np.prod(shape[1:])
    return x * np.float32(fan_in**-0.5)


def write_tokenizer(folder: Path) -> None:
    """Write CLIP's tokenizer files, from the vocabulary that open_clip_torch contains."""
    folder.mkdir(parents=True, exist_ok=True)
    packed = files("open_clip").joinpath("bpe_simple_vocab_16e6.txt.gz").read_bytes()
    merges = gzip.decompress(packed).decode().split("\n")[1 : MERGES + 1]
    letters = list(bytes_to_unicode().values())
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *("".join(merge.split()) for merge in merges)]
    tokens += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *merges, ""]), encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER_CONFIG), encoding="utf-8")


def make_checkpoint(size: str, out_dir: Path) -> Path:
    """Write a release folder in `out_dir`, unless it exists. Returns its path.

    Args:
        size: "small" or "full".
        out_dir: the parent of the release folder.
    """
    release = out_dir / RELEASE
    weights = release / "vision_model" / WEIGHTS
    if weights.is_file():
        return release
    weights.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(HERE / f"config_{size}.yaml", release / "config.yaml")
    write_tokenizer(release / "language_model" / "clip_tokenizer_4.16.2")
    shapes = json.loads((HERE / f"state_dict_{size}.json").read_text())
    partial = weights.with_suffix(".partial")
    save_file(
        {key: tensor(key, shape) for key, shape in tqdm(shapes.items(), desc=f"{size} checkpoint", leave=False)},
        partial,
    )
    partial.rename(weights)
    return release


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("size", choices=["small", "full"])
    parser.add_argument("out_dir", type=Path)
    args = parser.parse_args()
    print(make_checkpoint(args.size, args.out_dir))


if __name__ == "__main__":
    main()
