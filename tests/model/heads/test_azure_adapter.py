"""Azure's adapter files: they score as the original network does, and nothing but tensors is read from them."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from model.errors import HeadError
from model.heads.azure_adapter import CONFIG_FILE, WEIGHTS_FILE, find_azure_adapter, read_azure_adapter
from model.heads.head import Head
from model.heads.head_folder import load_head, save_head

LABELS = ("CT", "MR", "US")
EMBEDDING_SIZE, HIDDEN_SIZE = 16, 24
TOO_LARGE = torch.full((512,), 1e300, dtype=torch.float64)  # for float32
State = dict[str, Any]


class OriginalNetwork(nn.Module):
    """The network as Microsoft's notebooks train it, with convolutions over a length of one."""

    def __init__(self, last: nn.Module) -> None:
        super().__init__()
        self.vision_embd = nn.Sequential(
            nn.Linear(EMBEDDING_SIZE, 512), nn.GELU(), nn.Linear(512, 512), nn.LayerNorm(512)
        )
        self.retrieval_conv = nn.Sequential(
            nn.Conv1d(512, HIDDEN_SIZE, 3, padding=1), nn.GELU(), nn.Conv1d(HIDDEN_SIZE, HIDDEN_SIZE, 3, padding=1)
        )
        self.prediction_head = last

    def forward(self, embeddings: Tensor) -> Tensor:
        features = self.retrieval_conv(self.vision_embd(embeddings).unsqueeze(2)).squeeze(2)
        scores: Tensor = self.prediction_head(features).softmax(dim=-1)
        return scores


def network(*, wrapped: bool = True) -> OriginalNetwork:
    torch.manual_seed(0)
    last = nn.Linear(HIDDEN_SIZE, len(LABELS))
    return OriginalNetwork(nn.Sequential(last) if wrapped else last).eval()


def write(folder: Path, state: object, **config: object) -> Path:
    """Write both files; `config` replaces values of config.json."""
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(state, folder / WEIGHTS_FILE)
    facts = {"labels": LABELS, "in_channels": EMBEDDING_SIZE, "hidden_dim": HIDDEN_SIZE, **config}
    (folder / CONFIG_FILE).write_text(json.dumps(facts))
    return folder


def refusal(folder: Path) -> str:
    with pytest.raises(HeadError) as refused:
        read_azure_adapter(folder)
    return str(refused.value)


@pytest.mark.parametrize("wrapped", [True, False], ids=["last layer in a Sequential", "only the last layer"])
def test_it_scores_as_the_original_network(tmp_path: Path, wrapped: bool) -> None:
    original = network(wrapped=wrapped)
    labels, scorer = read_azure_adapter(write(tmp_path / "azure", original.state_dict()))
    save_head(Head("azure_adapter", labels, "softmax", scorer, {}), tmp_path / "head")
    head = load_head(tmp_path / "head")
    assert head.labels == LABELS
    assert head.scorer.embedding_size == EMBEDDING_SIZE
    embeddings = np.random.default_rng(0).normal(size=(9, EMBEDDING_SIZE)).astype(np.float32)
    with torch.inference_mode():
        expected = original(torch.from_numpy(embeddings)).numpy()
    assert head.scores(embeddings) == pytest.approx(expected, abs=1e-5)
    assert np.ptp(expected, axis=0).min() > 1e-3  # the scores differ between images


@pytest.mark.parametrize("place", ["", "adapter_model", "artifacts/checkpoints/adapter_model"])
def test_the_files_are_found_in_the_folders_of_azure(tmp_path: Path, place: str) -> None:
    write(tmp_path / place, network().state_dict())
    assert find_azure_adapter(tmp_path) == tmp_path / place


def test_only_one_of_the_files_is_not_an_adapter(tmp_path: Path) -> None:
    write(tmp_path, network().state_dict())
    (tmp_path / CONFIG_FILE).unlink()
    assert find_azure_adapter(tmp_path) is None


class Marker:
    """An object whose unpickling creates a file."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("legacy", [False, True], ids=["zip", "old format"])
def test_code_in_the_pickle_is_not_executed(tmp_path: Path, legacy: bool) -> None:
    marker = tmp_path / "marker"
    folder = write(tmp_path / "azure", {})
    state = {**network().state_dict(), "extra": Marker(marker)}
    torch.save(state, folder / WEIGHTS_FILE, _use_new_zipfile_serialization=not legacy)
    assert WEIGHTS_FILE in refusal(folder)
    assert not marker.exists()
    torch.load(folder / WEIGHTS_FILE, weights_only=False)  # the marker works
    assert marker.exists()


def test_a_whole_pickled_network_is_refused_with_advice(tmp_path: Path) -> None:
    assert "save the network's state_dict()" in refusal(write(tmp_path, network()))


def changed(change: Callable[[State], None]) -> State:
    state: State = dict(network().state_dict())
    change(state)
    return state


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (changed(lambda s: s.pop("vision_embd.3.bias")), "the tensor vision_embd.3.bias is missing"),
        (changed(lambda s: s.update(more=torch.zeros(1))), "1 tensors are unknown"),
        (changed(lambda s: s.update({"vision_embd.0.weight": torch.zeros(512, 8)})), "[512, 8], but [512, 16] is"),
        (changed(lambda s: s.update({"vision_embd.2.bias": torch.full((512,), torch.nan)})), "not finite"),
        (changed(lambda s: s.update({"vision_embd.2.bias": TOO_LARGE})), "bias has values that are not finite"),
        (changed(lambda s: s.update({"vision_embd.2.bias": torch.zeros(512, dtype=torch.int64)})), "the type float16"),
        (
            changed(lambda s: s.update({"vision_embd.2.bias": torch.zeros(512).to(torch.float8_e5m2)})),
            "holds more than",
        ),
        (changed(lambda s: s.update({"vision_embd.2.weight": torch.zeros(1).expand(512, 512)})), "contiguous"),
        (changed(lambda s: s.update({"vision_embd.2.weight": torch.zeros(512, 512, device="meta")})), "holds more"),
        ([torch.zeros(1)], "must hold a state_dict"),
        ({"vision_embd.0.weight": 1}, "must hold a state_dict"),
    ],
    ids=[
        "missing",
        "unknown",
        "shape",
        "NaN",
        "infinite in float32",
        "integers",
        "float8",
        "expanded",
        "no numbers",
        "list",
        "no tensor",
    ],
)
def test_other_tensors_are_refused_by_name(tmp_path: Path, state: object, message: str) -> None:
    assert message in refusal(write(tmp_path, state))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({"labels": []}, "labels in"),
        ({"labels": ["a", "a", "b"]}, "different texts"),
        ({"labels": ["a", "", "b"]}, "different texts"),
        ({"labels": ["a", "\ud800", "b"]}, "different texts"),
        ({"labels": ["a", "b"]}, "the tensor prediction_head.0.weight has the shape [3, 24], but [2, 24] is needed"),
        ({"in_channels": "16"}, "in_channels in"),
        ({"in_channels": 32}, "the tensor vision_embd.0.weight has the shape [512, 16], but [512, 32] is needed"),
        ({"hidden_dim": 0}, "hidden_dim in"),
        ({"hidden_dim": 2**40}, "the tensor retrieval_conv.0.weight has the shape"),
    ],
    ids=str,
)
def test_a_config_that_does_not_fit_is_refused(tmp_path: Path, config: dict[str, object], message: str) -> None:
    assert message in refusal(write(tmp_path, network().state_dict(), **config))


@pytest.mark.parametrize("content", [b"", b"[1, 2]", b"{", b"\xff", b"[" * 100_000], ids=range(5))
def test_a_config_that_is_not_an_object_is_refused(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, network().state_dict())
    (tmp_path / CONFIG_FILE).write_bytes(content)
    assert CONFIG_FILE in refusal(tmp_path)


def rewritten(file: Path, change: Callable[[str, bytes], bytes], compression: int = zipfile.ZIP_STORED) -> None:
    """Write the records of a zip file anew."""
    with zipfile.ZipFile(file) as archive:
        records = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(file, "w", compression) as archive:
        for name, content in records.items():
            archive.writestr(name, change(name, content))


def test_a_compressed_file_is_refused_because_it_may_inflate_without_bound(tmp_path: Path) -> None:
    write(tmp_path, network().state_dict())
    rewritten(tmp_path / WEIGHTS_FILE, lambda _, content: content, zipfile.ZIP_DEFLATED)
    assert "compressed" in refusal(tmp_path)


def call(name: str, number: int) -> bytes:
    """A pickle that calls something with a whole number."""
    return b"\x80\x02c%b\n\x8a\x08%b\x85R." % (name.replace(" ", "\n").encode(), number.to_bytes(8, "little"))


@pytest.mark.parametrize(
    "content",
    [
        call("builtins bytearray", 10**15),
        call("__builtin__ bytearray", 10),  # its name in Python 2, which torch knows
        call("torch Tensor", 10),
        call("torch.storage UntypedStorage", 10),
        call("torch LongTensor", 10),
        b"\x80\x02](" + b"]" * 2**21 + b"e.",  # each byte makes a list
    ],
    ids=["a petabyte", "Python 2", "tensor", "storage", "type of tensor", "many lists"],
)
def test_a_pickle_that_may_take_any_memory_is_not_unpickled(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, network().state_dict())
    rewritten(tmp_path / WEIGHTS_FILE, lambda name, old: content if name.endswith("/data.pkl") else old)
    assert "holds more than tensors" in refusal(tmp_path)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64], ids=str)
def test_parameters_of_the_usual_types_are_read(tmp_path: Path, dtype: torch.dtype) -> None:
    state = {name: nn.Parameter(tensor.to(dtype)) for name, tensor in network().state_dict().items()}
    labels, scorer = read_azure_adapter(write(tmp_path, state))
    assert labels == LABELS
    assert torch.equal(scorer.tensors()["0.bias"], state["vision_embd.0.bias"].float())


def test_records_shorter_than_the_pickle_says_are_refused(tmp_path: Path) -> None:
    write(tmp_path, network().state_dict())
    rewritten(tmp_path / WEIGHTS_FILE, lambda name, content: content[:8] if "/data/" in name else content)
    assert "is not a file of tensors" in refusal(tmp_path)


@pytest.mark.parametrize("content", [b"", b"PK", b"pickle"], ids=["empty", "cut", "other"])
def test_what_is_not_a_zip_file_is_refused(tmp_path: Path, content: bytes) -> None:
    write(tmp_path, network().state_dict())
    (tmp_path / WEIGHTS_FILE).write_bytes(content)
    assert "is not a file of tensors" in refusal(tmp_path)


def test_a_file_larger_than_any_adapter_is_refused(tmp_path: Path) -> None:
    write(tmp_path, network().state_dict())
    os.truncate(tmp_path / WEIGHTS_FILE, 2**29 + 1)  # sparse
    assert "larger than 512 MiB" in refusal(tmp_path)
