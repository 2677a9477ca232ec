"""Weight decay, learning rates, schedule, moving average and the range of `logit_scale`."""

import copy
from math import cos, pi
from pathlib import Path

import pytest
import torch

from model.checkpoints.checkpoint import load_model, release_key
from model.checkpoints.release_folder import find_release_folder
from model.config import read_config
from model.encoders.medimageinsight import MedImageInsight
from model.encoders.tokenizer import Tokenizer
from model.errors import TrainingError
from model.training.optimisation import (
    MAX_LOGIT_SCALE,
    MovingAverage,
    build_optimizer,
    clamp_logit_scale,
    decays,
    freeze,
    schedule,
)
from tests.support.learnable import make_tiny_release


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> MedImageInsight:
    return load_tiny(make_tiny_release(tmp_path_factory.mktemp("tiny")))


def load_tiny(folder: Path) -> MedImageInsight:
    release = find_release_folder(folder)
    config = read_config(release.config)
    vocabulary_size = Tokenizer(release.tokenizer, 24).vocabulary_size
    return load_model(release.weights, config, vocabulary_size, device=torch.device("cpu"), dtype=torch.float32)


@pytest.fixture
def model(tiny: MedImageInsight) -> MedImageInsight:
    return copy.deepcopy(tiny).requires_grad_(True).train()


def test_only_matrices_and_full_convolutions_decay(model: MedImageInsight) -> None:
    decayed = {release_key(name) for name, decay in decays(model).items() if decay}
    kinds = {".".join(part for part in name.split(".") if not part.isdigit()) for name in decayed}
    assert kinds == {
        "image_encoder.convs.proj.weight",
        *(
            f"image_encoder.blocks.{block}.{layer}.weight"
            for block, attention in (("spatial_block", "window_attn"), ("channel_block", "channel_attn"))
            for layer in (f"{attention}.fn.qkv", f"{attention}.fn.proj", "ffn.fn.net.fc1", "ffn.fn.net.fc2")
        ),
        "lang_encoder.resblocks.attn.in_proj_weight",
        "lang_encoder.resblocks.attn.out_proj.weight",
        "lang_encoder.resblocks.mlp.c_fc.weight",
        "lang_encoder.resblocks.mlp.c_proj.weight",
        "image_projection",
        "lang_projection",
    }


def test_frozen_parameters_are_not_in_the_optimizer_and_patterns_have_their_own_rate(model: MedImageInsight) -> None:
    freeze(model, ["^lang_encoder", r"image_encoder\.convs\.0"])
    learning_rates = {r"blocks\.3": 2e-3, "blocks": 5e-4, "_projection$": 1e-2}
    optimizer = build_optimizer(
        model, learning_rate=1e-3, weight_decay=0.2, betas=(0.9, 0.999), learning_rates=learning_rates
    )
    rates = {id(p): (group["lr"], group["weight_decay"]) for group in optimizer.param_groups for p in group["params"]}
    found = {release_key(name): rates.get(id(parameter)) for name, parameter in model.named_parameters()}
    assert found["lang_encoder.ln_final.weight"] is None
    assert found["image_encoder.convs.0.proj.weight"] is None
    assert found["image_encoder.convs.1.proj.weight"] == (1e-3, 0.2)
    assert found["image_encoder.blocks.3.0.spatial_block.ffn.fn.net.fc1.weight"] == (2e-3, 0.2)
    assert found["image_encoder.blocks.0.0.spatial_block.conv1.fn.dw.weight"] == (5e-4, 0.0)
    assert found["lang_projection"] == (1e-2, 0.2)
    assert found["logit_scale"] == (1e-3, 0.0)


def test_a_pattern_that_matches_nothing_or_leaves_nothing_is_refused(model: MedImageInsight) -> None:
    with pytest.raises(TrainingError, match="matches no parameter"):
        freeze(model, ["text_encoder"])  # the released name is lang_encoder
    with pytest.raises(TrainingError, match="not a regular expression"):
        freeze(model, ["("])
    with pytest.raises(TrainingError, match="nothing is left"):
        freeze(model, ["."])


def test_the_schedule_warms_up_and_then_follows_a_cosine() -> None:
    shares = [schedule(step, steps=14, warmup_steps=4, minimum=0.1) for step in range(15)]
    assert shares[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert shares[9] == pytest.approx(0.55)
    assert shares[11] == pytest.approx(0.1 + 0.9 * (1 + cos(pi * 0.7)) / 2)
    assert shares[14] == pytest.approx(0.1)


def test_the_moving_average_follows_its_formula_and_shares_frozen_weights(model: MedImageInsight) -> None:
    freeze(model, ["^lang_encoder"])
    average = MovingAverage(model, 0.7)
    expected = model.image_projection.detach().clone()
    for step in range(1, 12):
        with torch.no_grad():
            model.image_projection.add_(0.1 * step)
        average.update(step)
        decay = min(0.7, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * model.image_projection.detach()
    torch.testing.assert_close(average.model.image_projection.detach(), expected)
    assert not average.model.training
    frozen = "text_encoder.ln_final.weight"
    assert average.model.get_parameter(frozen).data_ptr() == model.get_parameter(frozen).data_ptr()


def test_logit_scale_stays_in_its_range(model: MedImageInsight) -> None:
    for value, kept in ((9.0, MAX_LOGIT_SCALE), (-1.0, 0.0), (2.5, 2.5)):
        with torch.no_grad():
            model.logit_scale.fill_(value)
        clamp_logit_scale(model)
        assert model.logit_scale.item() == pytest.approx(kept)
