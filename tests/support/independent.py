"""Independent, simple implementations of both encoders, with which the fast ones are compared."""

import math
from collections.abc import Mapping, Sequence

import torch
from timm.models.davit import DaVit
from torch import Tensor

from model.config import ImageEncoderConfig


def timm_davit(config: ImageEncoderConfig) -> DaVit:
    """Build timm's own DaViT, in which no block is replaced."""
    return DaVit(
        depths=config.depths,
        embed_dims=config.widths,
        num_heads=config.heads,
        window_size=config.window_size,
        down_kernel_size=3,
        channel_attn_v2=True,
        named_blocks=True,
        num_classes=0,
    ).eval()


def text_encoding(state: Mapping[str, Tensor], heads: int, ids: Sequence[int], *, causal: bool) -> Tensor:
    """Compute the features of `TextEncoder` for one text: per position and head, in float64, without padding.

    Args:
        state: the state dict of the encoder.
        heads: number of attention heads.
        ids: the token ids of the text.
        causal: each position attends only to itself and to earlier positions.

    Returns:
        (C,) float64.
    """
    weights = {name: tensor.double() for name, tensor in state.items()}
    layers = 1 + max(int(name.split(".")[1]) for name in weights if name.startswith("resblocks."))
    states = [
        weights["token_embedding.weight"][token] + weights["positional_embedding"][n] for n, token in enumerate(ids)
    ]

    def normed(x: Tensor, name: str) -> Tensor:
        centred = x - x.mean()
        return centred / torch.sqrt(centred.pow(2).mean() + 1e-12) * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def linear(x: Tensor, name: str) -> Tensor:
        return weights[f"{name}.weight"] @ x + weights[f"{name}.bias"]

    for layer in range(layers):
        block = f"resblocks.{layer}"
        projection, bias = weights[f"{block}.attn.in_proj_weight"], weights[f"{block}.attn.in_proj_bias"]
        projected = [(projection @ normed(x, f"{block}.ln_1") + bias).view(3, heads, -1) for x in states]
        attended = []
        for position in range(len(ids)):
            seen = projected[: position + 1] if causal else projected
            by_head = []
            for head in range(heads):
                query = projected[position][0, head]
                scores = torch.stack([query @ other[1, head] / math.sqrt(len(query)) for other in seen])
                shares = torch.exp(scores) / torch.exp(scores).sum()
                by_head.append(sum(share * other[2, head] for share, other in zip(shares, seen, strict=True)))
            attended.append(
                linear(torch.cat([torch.as_tensor(values) for values in by_head]), f"{block}.attn.out_proj")
            )
        states = [x + update for x, update in zip(states, attended, strict=True)]
        for position, x in enumerate(states):
            hidden = linear(normed(x, f"{block}.ln_2"), f"{block}.mlp.c_fc")
            states[position] = x + linear(hidden / (1 + torch.exp(-1.702 * hidden)), f"{block}.mlp.c_proj")
    return normed(states[list(ids).index(max(ids))], "ln_final")
