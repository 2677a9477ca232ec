"""Loss and gradients of a batch in chunks and on two processes, against those of the whole batch."""

import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from timm.layers import drop
from timm.models import davit
from torch import Tensor

from model.encoders.image_encoder import UnpaddedSpatialBlock
from model.encoders.medimageinsight import MedImageInsight
from model.errors import TrainingError
from model.training.contrastive_step import ContrastiveStep
from model.training.distributed import World
from model.training.finetune import finetune
from tests.model.training.test_optimisation import load_tiny
from tests.support.learnable import make_tiny_release, write_manifest, write_pictures
from tests.support.two_ranks import loss_and_gradients, options

ROOT = Path(__file__).parents[3]
WEIGHTS = "vision_model/model.safetensors"


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    """Run torch on one thread: the models are too small for more."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_tiny_release(tmp_path_factory.mktemp("tiny"))


def fresh(release: Path) -> MedImageInsight:
    return load_tiny(release).requires_grad_(True).train()


def assert_alike(found: dict[str, Tensor], expected: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert (found[name] - tensor).abs().max() <= tolerance, name


@pytest.mark.parametrize("chunk_size", [1, 5])
@pytest.mark.parametrize("recompute", [True, False])
def test_a_batch_in_chunks_has_the_gradients_of_the_whole_batch(
    release: Path, chunk_size: int, recompute: bool
) -> None:
    whole = loss_and_gradients(fresh(release), World())
    chunked = loss_and_gradients(fresh(release), World(), chunk_size=chunk_size, recompute=recompute)
    assert len(whole) == len(list(fresh(release).parameters())) + 1
    assert_alike(chunked, whole)


def test_chunks_that_are_encoded_twice_drop_the_same_paths_twice(tmp_path: Path) -> None:
    release = make_tiny_release(tmp_path, drop_path=0.5)
    found = []
    for recompute in (True, False):
        torch.manual_seed(5)
        found.append(loss_and_gradients(fresh(release), World(), chunk_size=4, recompute=recompute))
    assert_alike(found[0], found[1], 1e-6)
    torch.manual_seed(6)
    other = loss_and_gradients(fresh(release), World(), chunk_size=4)
    assert not torch.equal(other["loss"], found[0]["loss"])  # shows that paths are dropped


def test_chunks_on_mps_drop_the_same_paths_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    release, generator = make_tiny_release(tmp_path, drop_path=0.5), torch.Generator()

    class StepOnMps(ContrastiveStep):
        def __init__(self, *given: Any, **options: Any) -> None:
            super().__init__(*given, **options)
            self._device = torch.device("mps")

    def drop_path(x: Tensor, drop_prob: float, training: bool, *_: Any) -> Tensor:
        return x * torch.bernoulli(torch.full((len(x), *[1] * (x.ndim - 1)), 1 - drop_prob), generator=generator)

    monkeypatch.setattr(drop, "drop_path", drop_path)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda _: generator.get_state())
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda state, _: generator.set_state(state))
    monkeypatch.setattr("tests.support.two_ranks.ContrastiveStep", StepOnMps)
    found = []
    for recompute in (True, False):
        generator.manual_seed(5)
        found.append(loss_and_gradients(fresh(release), World(), chunk_size=4, recompute=recompute))
    assert_alike(found[0], found[1], 1e-6)


def test_on_mps_gradient_checkpointing_with_dropped_paths_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = make_tiny_release(tmp_path, drop_path=0.5)
    given = options(release, write_manifest(tmp_path / "m.csv", write_pictures(tmp_path, 16)), tmp_path / "out")
    monkeypatch.setattr("model.training.finetune.pick_device", lambda _: torch.device("mps"))
    with pytest.raises(TrainingError, match="on MPS, gradient_checkpointing needs drop_path 0"):
        finetune(replace(given, gradient_checkpointing=True))


def test_gradient_checkpointing_changes_no_gradient(release: Path) -> None:
    model = fresh(release)
    expected = loss_and_gradients(model, World())
    for stage in model.image_encoder.stages.children():
        stage.set_grad_checkpointing()  # type: ignore[operator]
    model.text_encoder.gradient_checkpointing = True
    assert_alike(loss_and_gradients(model, World()), expected, 1e-7)


def test_attention_over_padded_windows_has_the_gradients_of_timms_own_block() -> None:
    torch.manual_seed(0)
    theirs = davit.SpatialBlock(dim=12, num_heads=2, window_size=4, qkv_bias=True)
    ours = UnpaddedSpatialBlock(copy.deepcopy(theirs))
    pixels = torch.randn(2, 12, 6, 5)  # padded to 8 by 8
    for block in (theirs, ours):
        block(pixels).square().sum().backward()
    expected = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, expected[name], msg=name)


def test_a_frozen_tower_gets_no_gradient(release: Path) -> None:
    model = fresh(release)
    model.text_encoder.requires_grad_(False)
    model.text_projection.requires_grad_(False)
    found = loss_and_gradients(model, World(), chunk_size=4)
    expected = loss_and_gradients(fresh(release), World())
    assert not any(name.startswith("text_") for name in found)
    assert_alike(found, {name: tensor for name, tensor in expected.items() if not name.startswith("text_")})


def test_two_processes_have_the_gradients_and_train_the_weights_of_one(release: Path, tmp_path: Path) -> None:
    manifest = write_manifest(tmp_path / "m.csv", write_pictures(tmp_path, 16))
    command = [sys.executable, "-W", "ignore", "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*command, "-m", "tests.support.two_ranks", *map(str, (release, manifest, tmp_path))],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    expected = loss_and_gradients(fresh(release), World())
    for rank in (0, 1):
        results = torch.load(tmp_path / f"rank{rank}.pt", weights_only=True)
        for chunk_size in ("0", "2"):
            assert_alike(results[chunk_size], expected)
    finetune(options(release, manifest, tmp_path / "one"))
    assert_alike(load_file(tmp_path / "two" / WEIGHTS), load_file(tmp_path / "one" / WEIGHTS))
