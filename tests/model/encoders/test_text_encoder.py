"""The text encoder against an independent implementation that computes position by position."""

import dataclasses

import pytest
import torch
from torch import Tensor

from model.config import TextEncoderConfig
from model.encoders.text_encoder import LayerNorm, TextEncoder
from tests.support.independent import text_encoding

CONFIG = TextEncoderConfig(context_length=16, width=24, heads=3, layers=2, causal=False)
END = 49  # the last id of a vocabulary of 50
TEXTS = [[48, END], [48, 3, END], [48, 7, 7, 1, 30, 12, END], [48, *range(14), END]]


def random_encoder(config: TextEncoderConfig) -> TextEncoder:
    """An encoder in which each weight and bias influences the features."""
    torch.manual_seed(0)
    encoder = TextEncoder(config, vocabulary_size=END + 1).eval().requires_grad_(False)
    for parameter in encoder.parameters():
        parameter.normal_(std=parameter.shape[-1] ** -0.5)
    return encoder


def encode(encoder: TextEncoder, ids: list[int], *padding: int) -> Tensor:
    attention_mask = torch.tensor([[True] * len(ids) + [False] * len(padding)])
    features: Tensor = encoder(torch.tensor([[*ids, *padding]]), attention_mask)[0]
    return features


@pytest.mark.parametrize("ids", TEXTS, ids=len)
@pytest.mark.parametrize(
    "config",
    [
        CONFIG,
        dataclasses.replace(CONFIG, causal=True),
        dataclasses.replace(CONFIG, width=40, heads=5, layers=3, context_length=20),
        dataclasses.replace(CONFIG, width=8, heads=1, layers=1, causal=True),
    ],
    ids=str,
)
def test_features_are_those_of_the_plain_computation(config: TextEncoderConfig, ids: list[int]) -> None:
    encoder = random_encoder(config)
    plain = text_encoding(encoder.state_dict(), config.heads, ids, causal=config.causal)
    assert (encode(encoder, ids) - plain).abs().max() < 1e-5


def test_the_order_of_attention_matters() -> None:
    features = [
        encode(random_encoder(dataclasses.replace(CONFIG, causal=causal)), TEXTS[-1]) for causal in (False, True)
    ]
    assert (features[0] - features[1]).abs().max() > 1e-2


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("pad", [0, 5, END])
def test_padding_changes_nothing_whatever_its_length_and_its_id(pad: int, causal: bool) -> None:
    encoder = random_encoder(dataclasses.replace(CONFIG, causal=causal))
    for ids in TEXTS:
        alone = encode(encoder, ids)
        for count in range(1, CONFIG.context_length - len(ids) + 1):
            assert (encode(encoder, ids, *[pad] * count) - alone).abs().max() < 1e-5


def test_texts_in_a_batch_do_not_see_each_other() -> None:
    encoder = random_encoder(CONFIG)
    input_ids = torch.tensor([[*ids, *[0] * (16 - len(ids))] for ids in TEXTS])
    attention_mask = torch.arange(16) < torch.tensor([len(ids) for ids in TEXTS])[:, None]
    for features, ids in zip(encoder(input_ids, attention_mask), TEXTS, strict=True):
        assert (features - encode(encoder, ids)).abs().max() < 1e-5


def test_of_several_end_tokens_the_first_holds_the_feature() -> None:
    encoder = random_encoder(CONFIG)
    ids = [48, 3, END, 9, END]
    plain = text_encoding(encoder.state_dict(), CONFIG.heads, ids, causal=False)
    assert (encode(encoder, ids) - plain).abs().max() < 1e-5


def test_the_layer_norm_is_computed_in_float32() -> None:
    norm = LayerNorm(4)
    x = torch.tensor([1000.0, 1004.0, 1008.0, 1012.0])
    assert norm(x.bfloat16()).dtype == torch.bfloat16
    assert torch.equal(norm.bfloat16()(x.bfloat16()), norm.float()(x.bfloat16().float()).bfloat16())
    assert norm.eps == 1e-12
