"""From a checkpoint's file to a model in memory and back: keys renamed, shapes checked, weights mapped, not copied."""

import math
import re
import shutil
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from model.checkpoints.release_folder import CONFIG_FILE
from model.config import ModelConfig
from model.encoders.medimageinsight import MedImageInsight
from model.encoders.tokenizer import VOCABULARY_FILES
from model.errors import CheckpointError

# This model's parameter names (timm's for the image tower) to the release's (Florence's), applied in order.
_RELEASE_NAMES = [
    (re.compile(pattern), replacement)
    for pattern, replacement in (
        (r"^text_projection$", "lang_projection"),
        (r"^text_encoder\.", "lang_encoder."),
        (r"^image_encoder\.stem\.", "image_encoder.stages.0.downsample."),
        (r"^(image_encoder)\.stages\.(\d+)\.downsample\.conv\.", r"\1.convs.\2.proj."),
        (r"^(image_encoder)\.stages\.(\d+)\.downsample\.norm\.", r"\1.convs.\2.norm."),
        (r"^(image_encoder)\.stages\.(\d+)\.blocks\.", r"\1.blocks.\2."),
        (r"\.cpe([12])\.proj\.", r".conv\1.fn.dw."),
        (r"\.spatial_block\.norm1\.", ".spatial_block.window_attn.norm."),
        (r"\.spatial_block\.attn\.", ".spatial_block.window_attn.fn."),
        (r"\.channel_block\.norm1\.", ".channel_block.channel_attn.norm."),
        (r"\.channel_block\.attn\.", ".channel_block.channel_attn.fn."),
        (r"\.(spatial|channel)_block\.norm2\.", r".\1_block.ffn.norm."),
        (r"\.(spatial|channel)_block\.mlp\.", r".\1_block.ffn.fn.net."),
        # The reference pools and then norms, which is timm's head norm.
        (r"^image_encoder\.head\.norm\.", "image_encoder.norms."),
    )
]
_DTYPES = ("F64", "F32", "F16", "BF16")
# Of torch.save's zip files, and of pickles of protocol 2 to 5.
_PICKLE_STARTS = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILES = (*VOCABULARY_FILES, "tokenizer_config.json", "special_tokens_map.json")
INITIAL_LOGIT_SCALE = math.log(1 / 0.07)


def release_key(name: str) -> str:
    """The name in a released checkpoint of one of `MedImageInsight`'s parameters."""
    for pattern, replacement in _RELEASE_NAMES:
        name = pattern.sub(replacement, name)
    return name


def load_model(
    weights: Path, config: ModelConfig, vocabulary_size: int, *, device: torch.device, dtype: torch.dtype
) -> MedImageInsight:
    """Build a model whose parameters are the checkpoint's, in eval mode.

    On a CPU and in the file's own dtype the parameters are the memory-mapped file: nothing is read before it is
    used, and several processes share one copy. `logit_scale` stays float32.

    Raises:
        CheckpointError: not a safetensors file, truncated, or its keys or shapes are not those of the config.
    """
    with torch.device("meta"):
        model = MedImageInsight(config, vocabulary_size)
    shapes = {name: parameter.shape for name, parameter in model.state_dict().items()}
    names = {release_key(name): name for name in shapes}
    try:
        with safe_open(weights, framework="pt", device="cpu") as file:
            _check_layout(weights, file, {key: shapes[name] for key, name in names.items()})
            state_dict = {name: _placed(file.get_tensor(key), name, device, dtype) for key, name in names.items()}
    except SafetensorError as error:
        raise CheckpointError(_why_unreadable(weights)) from error
    except OSError as error:
        raise CheckpointError(f"{weights.name} cannot be opened: {_why_closed(weights, error)}") from error
    model.load_state_dict(state_dict, strict=True, assign=True)
    return model.requires_grad_(False).eval()


def _placed(tensor: Tensor, name: str, device: torch.device, dtype: torch.dtype) -> nn.Parameter:
    tensor = tensor.to(device, torch.float32 if name == "logit_scale" else dtype)
    if tensor.ndim == 4:
        tensor = tensor.contiguous(memory_format=torch.channels_last)
    return nn.Parameter(tensor, requires_grad=False)


def _check_layout(weights: Path, file: Any, wanted: dict[str, torch.Size]) -> None:
    found = {key: file.get_slice(key) for key in file.keys()}  # noqa: SIM118
    for what, keys in (("lacks", wanted.keys() - found.keys()), ("has left over", found.keys() - wanted.keys())):
        if keys:
            raise CheckpointError(f"{weights.name} {what} {_listed(keys)}: it does not belong to its config.yaml")
    for key, shape in wanted.items():
        if tuple(found[key].get_shape()) != tuple(shape):
            raise CheckpointError(
                f"{weights.name}: {key} has shape {list(found[key].get_shape())}, "
                f"its config.yaml and tokenizer need {list(shape)}"
            )
        if found[key].get_dtype() not in _DTYPES:
            raise CheckpointError(
                f"{weights.name}: {key} is of dtype {found[key].get_dtype()}; one of {', '.join(_DTYPES)} is needed"
            )


def _listed(keys: set[str], most: int = 4) -> str:
    names = sorted(keys)
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def _why_closed(weights: Path, error: OSError) -> str:
    """safetensors says of a file that may not be read that it is not there."""
    try:
        weights.open("rb").close()
    except OSError as reason:
        return str(reason.strerror)
    return str(error)


def _why_unreadable(weights: Path) -> str:
    with weights.open("rb") as stream:
        start = stream.read(2)
    if start in _PICKLE_STARTS:
        return (
            f"{weights.name} is a pickle, which can run any code when it is loaded; only safetensors files are read: "
            "convert it with safetensors.torch.save_file on a machine where you trust it"
        )
    return f"{weights.name} is no whole safetensors file (truncated, damaged, or of another kind): get it again"


def new_model(config: ModelConfig, vocabulary_size: int, *, seed: int = 0) -> MedImageInsight:
    """A model of random weights, to be trained from scratch; its temperature starts at CLIP's 0.07."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MedImageInsight(config, vocabulary_size)
    with torch.no_grad():
        model.logit_scale.fill_(INITIAL_LOGIT_SCALE)
    return model


def save_model(
    model: MedImageInsight, folder: Path, *, config: Path, tokenizer: Path, dtype: torch.dtype = torch.float32
) -> Path:
    """Write a release folder: the model's weights, and copies of a `config.yaml` and a tokeniser folder.

    Returns:
        The weights file, `vision_model/model.safetensors`; it is replaced at once, never half-written.
    """
    weights = folder / "vision_model" / WEIGHTS_FILE
    weights.parent.mkdir(parents=True, exist_ok=True)
    if config.resolve() != (folder / CONFIG_FILE).resolve():
        shutil.copyfile(config, folder / CONFIG_FILE)
    kept = folder / "language_model" / (tokenizer.name if tokenizer.parent.name == "language_model" else "tokenizer")
    if tokenizer.resolve() != kept.resolve():
        kept.mkdir(parents=True, exist_ok=True)
        for file in TOKENIZER_FILES:
            if (tokenizer / file).is_file():
                shutil.copyfile(tokenizer / file, kept / file)
    tensors = {
        release_key(name): tensor.detach().to("cpu", torch.float32 if name == "logit_scale" else dtype).contiguous()
        for name, tensor in model.state_dict().items()
    }
    partial = weights.with_suffix(".partial")
    save_file(tensors, partial, metadata={"format": "pt"})
    partial.replace(weights)
    return weights
