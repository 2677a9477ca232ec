"""Loading and saving of weights files: keys are renamed, shapes are checked, and weights are memory-mapped."""

import math
import re
import shutil
from functools import partial
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
from model.output_file import open_folder, write_file

# From this model's parameter names (timm's for the image encoder) to the release's (Florence's), applied in order.
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
        # The reference normalises after pooling, as timm's head norm does.
        (r"^image_encoder\.head\.norm\.", "image_encoder.norms."),
    )
]
_TEXT_KEYS = ("lang_encoder.", "lang_projection")
_DTYPES = ("F64", "F32", "F16", "BF16")
# First bytes of the zip files of torch.save, and of pickles of protocols 2 to 5.
_PICKLE_STARTS = (b"PK", b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05")

WEIGHTS_FILE = "model.safetensors"
TOKENIZER_FILES = (*VOCABULARY_FILES, "tokenizer_config.json", "special_tokens_map.json")
INITIAL_LOGIT_SCALE = math.log(1 / 0.07)  # the initial temperature of CLIP (Radford et al. 2021, arXiv:2103.00020)
MAX_LISTED_KEYS = 4


def release_key(name: str) -> str:
    """Convert the name of a parameter of `MedImageInsight` to its key in a released checkpoint."""
    for pattern, replacement in _RELEASE_NAMES:
        name = pattern.sub(replacement, name)
    return name


def load_model(
    weights: Path, config: ModelConfig, vocabulary_size: int | None, *, device: torch.device, dtype: torch.dtype
) -> MedImageInsight:
    """Build a model with the parameters of a weights file, in eval mode and without gradients.

    On a CPU and in the dtype of the file, the parameters are the memory-mapped file. Nothing is read before its first
    use, and several processes share one copy. Dense convolutions are copied, because their layout changes.

    Args:
        weights: a safetensors file of any suffix, with the keys of a release.
        config: the sizes of the model.
        vocabulary_size: number of tokens of the release's tokenizer; None reads no weights of the text encoder.
        device: where the parameters are placed.
        dtype: number format of the parameters, except `logit_scale`, which stays float32.

    Raises:
        CheckpointError: the file is not a safetensors file, is truncated, or its keys or shapes do not match `config`.
    """
    with torch.device("meta"):
        model = MedImageInsight(config, vocabulary_size)
    shapes = {name: parameter.shape for name, parameter in model.state_dict().items()}
    names = {release_key(name): name for name in shapes}
    try:
        with safe_open(weights, framework="pt", device="cpu") as file:
            unread = () if vocabulary_size is not None else _TEXT_KEYS
            _check_layout(weights, file, {key: shapes[name] for key, name in names.items()}, unread)
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


def _check_layout(weights: Path, file: Any, wanted: dict[str, torch.Size], unread: tuple[str, ...]) -> None:
    found = {key: file.get_slice(key) for key in file.keys() if not key.startswith(unread)}  # noqa: SIM118
    for what, keys in (("lacks", wanted.keys() - found.keys()), ("has the unknown", found.keys() - wanted.keys())):
        if keys:
            raise CheckpointError(f"{weights.name} {what} {_listed(keys)}: it does not match its config.yaml")
    for key, shape in wanted.items():
        if tuple(found[key].get_shape()) != tuple(shape):
            raise CheckpointError(
                f"{weights.name}: {key} has shape {list(found[key].get_shape())}, "
                f"but its config.yaml and tokenizer need {list(shape)}"
            )
        if found[key].get_dtype() not in _DTYPES:
            raise CheckpointError(
                f"{weights.name}: {key} has the dtype {found[key].get_dtype()}; one of {', '.join(_DTYPES)} is needed"
            )


def _listed(keys: set[str]) -> str:
    names = sorted(keys)
    more = f" and {len(names) - MAX_LISTED_KEYS} more" if len(names) > MAX_LISTED_KEYS else ""
    return ", ".join(names[:MAX_LISTED_KEYS]) + more


def _why_closed(weights: Path, error: OSError) -> str:
    """The reason why a file cannot be opened; safetensors reports an unreadable file as missing."""
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
            f"{weights.name} is a pickle, which can run arbitrary code when it is loaded; only safetensors files are "
            "accepted: if you trust the file, convert it with safetensors.torch.save_file"
        )
    return (
        f"{weights.name} is not a complete safetensors file (truncated, damaged or of another format): "
        "download it again"
    )


def new_model(config: ModelConfig, vocabulary_size: int, *, seed: int = 0) -> MedImageInsight:
    """Build a model with random weights for training from scratch. Its temperature starts at 0.07, as CLIP's does.

    Args:
        config: the sizes of the model.
        vocabulary_size: number of tokens of its tokenizer.
        seed: of the random weights. The random state of torch on the CPU is restored afterwards. Default: 0.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = MedImageInsight(config, vocabulary_size)
    with torch.no_grad():
        model.logit_scale.fill_(INITIAL_LOGIT_SCALE)
    return model


def save_model(
    model: MedImageInsight, folder: Path, *, config: Path, tokenizer: Path, dtype: torch.dtype = torch.float32
) -> Path:
    """Write a release folder: the weights of a model, and copies of its `config.yaml` and its tokenizer files.

    Args:
        model: the model, on any device.
        folder: the release folder, created if it does not exist.
        config: the `config.yaml` to copy.
        tokenizer: the folder with the tokenizer files to copy.
        dtype: number format in the file, except `logit_scale`, which stays float32. Default: float32.

    Returns:
        The weights file, `vision_model/model.safetensors`. Each file is replaced in one step, the weights last.

    Raises:
        OutputError: a file cannot be written.
    """
    weights = folder / "vision_model" / WEIGHTS_FILE
    open_folder(weights.parent)
    if config.resolve() != (folder / CONFIG_FILE).resolve():
        write_file(folder / CONFIG_FILE, partial(shutil.copyfile, config))
    kept = folder / "language_model" / (tokenizer.name if tokenizer.parent.name == "language_model" else "tokenizer")
    if tokenizer.resolve() != kept.resolve():
        open_folder(kept)
        for file in TOKENIZER_FILES:
            if (tokenizer / file).is_file():
                write_file(kept / file, partial(shutil.copyfile, tokenizer / file))
    tensors = {
        release_key(name): tensor.detach().to("cpu", torch.float32 if name == "logit_scale" else dtype).contiguous()
        for name, tensor in model.state_dict().items()
    }
    write_file(weights, lambda path: save_file(tensors, path, metadata={"format": "pt"}))
    return weights
