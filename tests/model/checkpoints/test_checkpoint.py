"""Loading of weights files: each key is used exactly once, and the weights are mapped, not copied."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import save_file
from safetensors.torch import load_file
from safetensors.torch import save_file as save_tensors
from torch import nn

from model.checkpoints.checkpoint import load_model, release_key
from model.config import ModelConfig, read_config
from model.encoders.medimageinsight import MedImageInsight
from model.errors import CheckpointError
from tests.parity.make_checkpoint import HERE as PARITY
from tests.support.tiny import VOCABULARY_SIZE, weights_of, write_config

CPU = torch.device("cpu")


@pytest.fixture
def config(tmp_path: Path) -> ModelConfig:
    return read_config(write_config(tmp_path))


@pytest.fixture
def weights(tmp_path: Path, config: ModelConfig) -> Path:
    save_file(weights_of(tmp_path / "config.yaml"), tmp_path / "weights.pt")
    return tmp_path / "weights.pt"


def load(weights: Path, config: ModelConfig, dtype: torch.dtype = torch.float32) -> MedImageInsight:
    return load_model(weights, config, VOCABULARY_SIZE, device=CPU, dtype=dtype)


def refusal(weights: Path, config: ModelConfig) -> str:
    with pytest.raises(CheckpointError) as error:
        load(weights, config)
    return str(error.value)


@pytest.mark.parametrize("size", ["small", "full"])
def test_parameters_are_the_releases_keys_one_to_one(size: str) -> None:
    with torch.device("meta"):
        model = MedImageInsight(read_config(PARITY / f"config_{size}.yaml"), vocabulary_size=49408)
    keys = {release_key(name): list(parameter.shape) for name, parameter in model.state_dict().items()}
    assert keys == json.loads((PARITY / f"state_dict_{size}.json").read_text())
    assert len(keys) == len(model.state_dict())
    if size == "full":
        assert sum(parameter.numel() for parameter in model.parameters()) == 615_996_417


def test_values_arrive_under_their_names(weights: Path, config: ModelConfig) -> None:
    model, saved = load(weights, config), load_file(weights)
    for name, parameter in model.state_dict().items():
        assert torch.equal(parameter, saved[release_key(name)]), name
    assert not model.training
    assert not any(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("stored", [torch.float64, torch.float16, torch.bfloat16])
def test_a_file_in_another_precision_is_converted(weights: Path, config: ModelConfig, stored: torch.dtype) -> None:
    saved = {key: value.to(stored) for key, value in load_file(weights).items()}
    save_tensors(saved, weights.with_name("other.pt"))
    model = load(weights.with_name("other.pt"), config)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}
    assert torch.equal(model.image_projection, saved["image_projection"].float())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_the_logit_scale_stays_float32(weights: Path, config: ModelConfig, dtype: torch.dtype) -> None:
    model = load(weights, config, dtype)
    assert model.logit_scale.dtype == torch.float32
    assert float(model.logit_scale) == 4.513362407684326
    assert {parameter.dtype for parameter in model.parameters()} == {dtype, torch.float32}


def mapped_ranges(file: Path) -> list[range]:
    """Address ranges at which this process has mapped a file."""
    lines = [line.split() for line in Path("/proc/self/maps").read_text().splitlines() if line.endswith(str(file))]
    return [range(*(int(end, 16) for end in line[0].split("-"))) for line in lines]


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="mappings are read from Linux")
def test_parameters_are_the_mapped_file(weights: Path, config: ModelConfig) -> None:
    model = load(weights, config)
    mapped = mapped_ranges(weights)
    copied = {
        name
        for name, parameter in model.named_parameters()
        if not any(parameter.data_ptr() in addresses for addresses in mapped)
    }
    # Dense convolutions are copied to channels last; in depth-wise convolutions the two layouts are the same.
    dense = {name for name, module in model.named_modules() if isinstance(module, nn.Conv2d) and module.groups == 1}
    assert copied == {f"{name}.weight" for name in dense}
    assert all(model.get_parameter(name).is_contiguous(memory_format=torch.channels_last) for name in copied)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="mappings are read from Linux")
def test_a_conversion_leaves_nothing_mapped(weights: Path, config: ModelConfig) -> None:
    model = load(weights, config, torch.bfloat16)
    mapped = mapped_ranges(weights)
    assert [
        name
        for name, parameter in model.named_parameters()
        if any(parameter.data_ptr() in addresses for addresses in mapped)
    ] == ["logit_scale"]


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"logit_scale": None}, "lacks logit_scale: it does not match its config.yaml"),
        ({"image_encoder.norms.bias": None}, "lacks image_encoder.norms.bias: it does not match its config.yaml"),
        (
            {f"lang_encoder.resblocks.1.ln_{n}.{part}": None for n in (1, 2) for part in ("weight", "bias")}
            | {"lang_projection": None},
            "lacks lang_encoder.resblocks.1.ln_1.bias, lang_encoder.resblocks.1.ln_1.weight, "
            "lang_encoder.resblocks.1.ln_2.bias, lang_encoder.resblocks.1.ln_2.weight and 1 more: "
            "it does not match its config.yaml",
        ),
        (
            {"image_encoder.head.weight": np.zeros((2, 32), np.float32)},
            "has the unknown image_encoder.head.weight: it does not match its config.yaml",
        ),
        (
            {"lang_projection": np.zeros((20, 24), np.float32)},
            ": lang_projection has shape [20, 24], but its config.yaml and tokenizer need [24, 20]",
        ),
        (
            {"logit_scale": np.zeros(1, np.float32)},
            ": logit_scale has shape [1], but its config.yaml and tokenizer need []",
        ),
        (
            {"lang_projection": np.zeros((24, 20), np.int64)},
            ": lang_projection has the dtype I64; one of F64, F32, F16, BF16 is needed",
        ),
    ],
    ids=["a scalar missing", "a norm missing", "many missing", "unknown", "shape", "scalar's shape", "integers"],
)
def test_a_file_that_does_not_match_its_config_is_refused(
    weights: Path, config: ModelConfig, changes: dict[str, Any], sentence: str
) -> None:
    tensors = {**weights_of(weights.parent / "config.yaml"), **changes}
    save_file({key: value for key, value in tensors.items() if value is not None}, weights)
    said = refusal(weights, config)
    assert said == f"weights.pt{'' if sentence.startswith(':') else ' '}{sentence}"


def test_a_vocabulary_of_another_size_is_refused_by_its_embedding(weights: Path, config: ModelConfig) -> None:
    with pytest.raises(CheckpointError, match=r"token_embedding.weight has shape \[518, 24\], .* need \[519, 24\]"):
        load_model(weights, config, VOCABULARY_SIZE + 1, device=CPU, dtype=torch.float32)


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[:-1],
        lambda data: data[: len(data) // 2],
        lambda data: data[:100],
        lambda data: data[:4],
        lambda data: b"",
        lambda data: data + b"x",
        lambda data: b"\x01" * 1000,
        lambda data: b"\x80\x00" + data[2:],  # the first byte of a pickle, but not the second
        lambda data: b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n",
    ],
    ids=["a byte short", "half", "header cut", "4 bytes", "empty", "a byte long", "garbage", "0x80", "LFS pointer"],
)
def test_a_file_that_is_not_a_complete_safetensors_file(weights: Path, config: ModelConfig, damage: Any) -> None:
    weights.write_bytes(damage(weights.read_bytes()))
    assert refusal(weights, config) == (
        "weights.pt is not a complete safetensors file (truncated, damaged or of another format): download it again"
    )


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_is_refused_with_the_reason(weights: Path, config: ModelConfig, zipped: bool) -> None:
    pickled = weights.with_name("pickled.pt")
    torch.save(load_file(weights), pickled, _use_new_zipfile_serialization=zipped)
    assert refusal(pickled, config) == (
        "pickled.pt is a pickle, which can run arbitrary code when it is loaded; only safetensors files are "
        "accepted: if you trust the file, convert it with safetensors.torch.save_file"
    )


def test_a_file_that_cannot_be_opened(tmp_path: Path, config: ModelConfig) -> None:
    assert refusal(tmp_path / "gone.pt", config).startswith("gone.pt cannot be opened: No such file or directory")


@contextmanager
def unprivileged() -> Iterator[None]:
    """Run the body as another user if this user is root, who may read every file."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(10001)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


def test_a_file_that_this_user_may_not_read(weights: Path, config: ModelConfig) -> None:
    weights.chmod(0)
    with unprivileged():
        assert refusal(weights, config) == f"{weights.name} cannot be opened: Permission denied"
