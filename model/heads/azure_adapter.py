"""Files of an Azure adapter: `adapter_model.pth`, a pickle of tensors, and `config.json`.

Only tensors are unpickled. The tensors are views of the mapped file, so that a small file cannot claim much memory.
Otherwise torch would inflate every deflated record, and would accept the sizes that the pickle states. torch also
allows calls in a pickle that allocate any number of bytes, so the pickle's names are checked before.
"""

import json
import os
import pickle
import pickletools
import re
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from model.errors import HeadError
from model.heads.head import LABELS_RULE, are_labels
from model.heads.scorers.azure_adapter import WIDTH, AzureAdapterScorer
from model.heads.scorers.scorer import Tensors, require_names, require_numbers, require_shape

WEIGHTS_FILE, CONFIG_FILE = "adapter_model.pth", "config.json"
FOLDERS = ("", "adapter_model", "checkpoints/adapter_model", "artifacts/checkpoints/adapter_model")
MAX_WEIGHTS_BYTES = 2**29  # a hidden size of 4,096 has 0.3 GB
MAX_CONFIG_BYTES = 2**24
MAX_PICKLE_BYTES = 2**20  # names and shapes of 12 tensors have 2 kB
_KERNEL = 3  # values of a convolution's kernel

# Layer of the original network -> layer of `build_azure_layers`.
_LAYERS = {
    "vision_embd.0": "0",
    "vision_embd.2": "2",
    "vision_embd.3": "3",
    "retrieval_conv.0": "4",
    "retrieval_conv.2": "6",
    "prediction_head.0": "7",
}
# In Microsoft's notebooks the last layer stands in an nn.Sequential; without it, its tensors have these names.
_OTHER_NAMES = {f"prediction_head.{kind}": f"prediction_head.0.{kind}" for kind in ("weight", "bias")}
_DAMAGED = (
    *(OSError, RuntimeError, ValueError, KeyError, TypeError, AttributeError, IndexError, EOFError, OverflowError),
    *(AssertionError, ImportError, MemoryError, struct.error, pickle.UnpicklingError, zipfile.BadZipFile),
)
# The names that a pickled state_dict has. Those of module torch stand for a storage's type and cannot be called.
_STATE_DICT_NAMES = re.compile(
    r"collections OrderedDict|torch\._utils _rebuild_(tensor_v2|parameter)|torch [A-Za-z0-9]+Storage"
)


def find_azure_adapter(folder: Path) -> Path | None:
    """The folder with both files: `folder` itself, or the one in which an Azure MLflow model keeps them."""

    def has_both(place: Path) -> bool:
        # Path.is_file raises an error in a folder that cannot be read.
        return all(os.path.isfile(place / name) for name in (WEIGHTS_FILE, CONFIG_FILE))  # noqa: PTH113 (see above)

    return next(filter(has_both, (folder / name for name in FOLDERS)), None)


def read_azure_adapter(folder: Path) -> tuple[tuple[str, ...], AzureAdapterScorer]:
    """Read an adapter from the folder that holds its two files; returns its labels and its scorer.

    `config.json` has `labels`, `in_channels` (numbers of an embedding) and `hidden_dim`; other keys are ignored. The
    scores are a softmax.

    Raises:
        HeadError: a file is missing or damaged, holds anything but tensors, or the two do not match.
    """
    labels, embedding_size, hidden_size = _read_config(folder / CONFIG_FILE)
    state = _read_state(folder / WEIGHTS_FILE)
    try:
        tensors = _layers_of(state, _shapes(embedding_size, hidden_size, len(labels)))
    except HeadError as error:
        raise HeadError(f"{folder / WEIGHTS_FILE} does not match {CONFIG_FILE}: {error}") from error
    return labels, AzureAdapterScorer.from_tensors(tensors, "softmax")


def read_labels(file: Path) -> tuple[tuple[str, ...], Mapping[str, Any]]:
    """The labels in a `config.json` of Azure, and everything that it holds.

    Raises:
        HeadError: the file is missing or damaged, or its labels are not different texts that can be encoded.
    """
    try:
        with file.open("rb") as stream:
            config = json.loads(stream.read(MAX_CONFIG_BYTES))
    except OSError as error:
        raise HeadError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise HeadError(f"{file} is not JSON") from error
    config = config if isinstance(config, Mapping) else {}
    labels = config.get("labels")
    if not are_labels(labels):
        raise HeadError(f"labels in {file} must be {LABELS_RULE}")
    return tuple(labels), config


def _read_config(file: Path) -> tuple[tuple[str, ...], int, int]:
    """The labels, the size of an embedding, and the hidden size."""
    labels, config = read_labels(file)
    for name in ("in_channels", "hidden_dim"):
        if type(config.get(name)) is not int or config[name] < 1:
            raise HeadError(f"{name} in {file} must be a whole number of at least 1")
    return labels, config["in_channels"], config["hidden_dim"]


def _read_state(file: Path) -> Mapping[str, Tensor]:
    """The tensors by name; each lies completely in the file."""
    try:
        _require_plain_zip(file)
        _require_tensors_only(file)
        state: Any = torch.load(file, map_location="cpu", weights_only=True, mmap=True)
    except pickle.UnpicklingError as error:
        raise HeadError(f"{file} holds more than tensors and is not loaded; save the network's state_dict()") from error
    except _DAMAGED as error:
        raise HeadError(f"{file} is not a file of tensors as torch.save writes it") from error
    if not isinstance(state, Mapping) or not all(
        isinstance(name, str) and type(tensor) in (Tensor, nn.Parameter) for name, tensor in state.items()
    ):
        raise HeadError(f"{file} must hold a state_dict: tensors by name")
    return state


def _require_plain_zip(file: Path) -> None:
    """Raise HeadError unless the file is a zip of moderate size without compression, as torch.save writes it."""
    if file.stat().st_size > MAX_WEIGHTS_BYTES:
        raise HeadError(f"{file} is larger than {MAX_WEIGHTS_BYTES >> 20} MiB, which no adapter needs")
    with zipfile.ZipFile(file) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise HeadError(f"{file} is compressed, which torch.save never does")


def _require_tensors_only(file: Path) -> None:
    """Raise UnpicklingError if the pickle is large, or names anything but what a state_dict needs."""
    # torch's own parser: another one may find another pickle in a zip file that is made to be ambiguous.
    reader = torch._C.PyTorchFileReader(os.fspath(file))
    if reader.get_record_size("data.pkl") > MAX_PICKLE_BYTES:
        raise pickle.UnpicklingError("the pickle is larger than that of a state_dict")
    for opcode, name, _ in pickletools.genops(reader.get_record("data.pkl")):
        is_name = opcode.name in ("GLOBAL", "STACK_GLOBAL", "INST")
        if is_name and not _STATE_DICT_NAMES.fullmatch(str(name)):
            raise pickle.UnpicklingError("the pickle names more than a state_dict needs")


def _layers_of(state: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> Tensors:
    """The tensors of the scorer, from those of the original network with these shapes."""
    renamed = {_OTHER_NAMES.get(name, name): tensor for name, tensor in state.items()}
    require_names(renamed, set(shapes))
    layers: Tensors = {}
    for name, shape in shapes.items():
        require_shape(renamed, name, shape)
        tensor = renamed[name].detach()
        # An expanded tensor may have any size.
        if not tensor.is_contiguous():
            raise HeadError(f"the tensor {name} must be stored whole, as a contiguous tensor")
        require_numbers(name, tensor)
        layer, _, kind = name.rpartition(".")
        used = tensor[:, :, 1] if shape[2:] else tensor  # the middle of each kernel
        layers[f"{_LAYERS[layer]}.{kind}"] = used.float().clone()
    return layers


def _shapes(embedding_size: int, hidden_size: int, label_count: int) -> dict[str, tuple[int, ...]]:
    """The shapes of the original network's tensors by name."""
    weights: dict[str, tuple[int, ...]] = {
        "vision_embd.0": (WIDTH, embedding_size),
        "vision_embd.2": (WIDTH, WIDTH),
        "vision_embd.3": (WIDTH,),
        "retrieval_conv.0": (hidden_size, WIDTH, _KERNEL),
        "retrieval_conv.2": (hidden_size, hidden_size, _KERNEL),
        "prediction_head.0": (label_count, hidden_size),
    }
    shapes = {f"{layer}.weight": shape for layer, shape in weights.items()}
    return shapes | {f"{layer}.bias": shape[:1] for layer, shape in weights.items()}
