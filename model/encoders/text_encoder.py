"""Text encoder: a pre-norm transformer over BPE tokens, as in CLIP (Radford et al. 2021, arXiv:2103.00020).

The released model has no causal mask, unlike CLIP. Only the attention sees padding. All other layers process the T
tokens of the batch without padding, as one (T, C) tensor.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from model.config import TextEncoderConfig

LAYER_NORM_EPS = 1e-12  # as in the reference implementation; torch's default is 1e-5


class LayerNorm(nn.LayerNorm):
    """Layer norm that computes in float32 and returns the dtype of its input."""

    def __init__(self, width: int) -> None:
        super().__init__(width, eps=LAYER_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        normed = F.layer_norm(x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps)
        return normed.to(x.dtype)


class QuickGELU(nn.Module):
    """The sigmoid approximation of GELU with which CLIP was trained."""

    def forward(self, x: Tensor) -> Tensor:
        return x * torch.sigmoid(1.702 * x)


@dataclass(frozen=True)
class Layout:
    """Positions of the tokens of a batch in its padded form, and who attends to whom."""

    shape: tuple[int, int]  # B, L
    positions: Tensor  # (T,) int64, index of each token in the flattened (B, L)
    mask: Tensor  # (B, 1, 1 or L, L) bool, True where a query attends to a key

    def padded(self, x: Tensor) -> Tensor:
        """Convert (T, C) to (B, L, C), with zeros on padding."""
        return (
            x.new_zeros(self.shape[0] * self.shape[1], x.shape[-1])
            .index_copy(0, self.positions, x)
            .view(*self.shape, -1)
        )

    def packed(self, x: Tensor) -> Tensor:
        """Convert (B, L, C) to (T, C), without the padding."""
        return x.flatten(0, 1).index_select(0, self.positions)


class SelfAttention(nn.Module):
    """Multi-head self-attention. The parameter names are those of `nn.MultiheadAttention`, as in the release."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        self.out_proj = nn.Linear(width, width)
        nn.init.trunc_normal_(self.in_proj_weight, std=0.02)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        qkv = layout.padded(F.linear(x, self.in_proj_weight, self.in_proj_bias))  # B, L, 3*C
        qkv = qkv.view(*layout.shape, 3, self.heads, -1).permute(2, 0, 3, 1, 4)  # 3, B, heads, L, C/heads
        query, key, value = qkv.unbind(0)  # each B, heads, L, C/heads
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=layout.mask)  # B, heads, L, C/heads
        projected: Tensor = self.out_proj(layout.packed(attended.transpose(1, 2).flatten(2)))  # T, C
        return projected


class ResidualAttentionBlock(nn.Module):
    """Attention and a feed-forward network, each with a norm before it and a residual connection around it."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attn = SelfAttention(width, heads)
        self.ln_1 = LayerNorm(width)
        self.mlp = nn.Sequential()
        self.mlp.add_module("c_fc", nn.Linear(width, 4 * width))
        self.mlp.add_module("gelu", QuickGELU())
        self.mlp.add_module("c_proj", nn.Linear(4 * width, width))
        self.ln_2 = LayerNorm(width)

    def forward(self, x: Tensor, layout: Layout) -> Tensor:
        x = x + self.attn(self.ln_1(x), layout)  # T, C
        output: Tensor = x + self.mlp(self.ln_2(x))  # T, C
        return output


class TextEncoder(nn.Module):
    """Maps the token ids of a text to one feature vector."""

    def __init__(self, config: TextEncoderConfig, vocabulary_size: int) -> None:
        super().__init__()
        self.causal = config.causal
        self.gradient_checkpointing = False  # saves memory in training, but computes the activations twice
        self.token_embedding = nn.Embedding(vocabulary_size, config.width)
        self.positional_embedding = nn.Parameter(torch.empty(config.context_length, config.width))
        self.resblocks = nn.ModuleList(ResidualAttentionBlock(config.width, config.heads) for _ in range(config.layers))
        self.ln_final = LayerNorm(config.width)
        nn.init.trunc_normal_(self.positional_embedding, std=0.02)
        nn.init.trunc_normal_(self.token_embedding.weight, std=0.02)

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Encode texts.

        Args:
            input_ids: (B, L) int64 token ids, L at most the context length, with the padding at the end.
            attention_mask: (B, L) bool, False on padding.

        Returns:
            (B, C) features: the layer-normalised state at the first end-of-text token, which has the largest id.
        """
        length = input_ids.shape[1]
        mask = attention_mask[:, None, None, :]  # B, 1, 1, L
        if self.causal:
            mask = mask & torch.ones(length, length, dtype=torch.bool, device=mask.device).tril()  # B, 1, L, L
        layout = Layout((len(input_ids), length), attention_mask.flatten().nonzero().squeeze(1), mask)
        x = layout.packed(self.token_embedding(input_ids) + self.positional_embedding[:length])  # T, C
        for block in self.resblocks:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = checkpoint(block, x, layout, use_reentrant=False)
            else:
                x = block(x, layout)
        at_end = layout.padded(x)[torch.arange(len(input_ids), device=x.device), input_ids.argmax(dim=-1)]  # B, C
        features: Tensor = self.ln_final(at_end)
        return features
