"""Image encoder: timm's DaViT (Ding et al. 2022, arXiv:2204.03645), configured as in Florence."""

import torch
import torch.nn.functional as F
from timm.models import davit
from torch import Tensor, nn

from model.config import ImageEncoderConfig


class UnpaddedSpatialBlock(nn.Module):
    """timm's `SpatialBlock`, but without linear layers over the padding.

    DaViT pads the token grid to complete windows and projects the padding too: 480 pixels give a 30x30 grid, which
    becomes 36x36. The padding is zero after the norm, so its queries, keys and values equal the bias of `qkv`. They
    take part in the attention, as in the reference implementation. No other layer computes them.
    """

    def __init__(self, block: davit.SpatialBlock) -> None:
        super().__init__()
        self.window_size, self.num_heads = block.window_size[0], block.num_heads
        self.cpe1, self.norm1, self.attn, self.drop_path1 = block.cpe1, block.norm1, block.attn, block.drop_path1
        self.cpe2, self.norm2, self.mlp, self.drop_path2 = block.cpe2, block.norm2, block.mlp, block.drop_path2

    def forward(self, x: Tensor) -> Tensor:
        batch, channels, height, width = x.shape  # height and width in tokens
        x = self.cpe1(x).flatten(2).transpose(1, 2)  # B, H*W, C
        x = x + self.drop_path1(self._window_attention(self.norm1(x), height, width))
        x = self.cpe2(x.transpose(1, 2).view(batch, channels, height, width))  # B, C, H, W
        x = x.flatten(2).transpose(1, 2)  # B, H*W, C
        x = x + self.drop_path2(self.mlp(self.norm2(x)))
        return x.transpose(1, 2).view(batch, channels, height, width)  # B, C, H, W

    def _window_attention(self, x: Tensor, height: int, width: int) -> Tensor:
        """Attention within windows, from (B, H*W, C) to (B, H*W, C)."""
        batch, _, channels = x.shape
        window, heads = self.window_size, self.num_heads
        rows, columns = -(-height // window), -(-width // window)  # windows down and across
        qkv = self.attn.qkv(x).view(batch, height, width, 3 * channels)  # B, H, W, 3*C
        if (rows * window, columns * window) != (height, width):
            padded = self.attn.qkv.bias.expand(batch, rows * window, columns * window, -1).clone()
            padded[:, :height, :width] = qkv
            qkv = padded  # B, rows*window, columns*window, 3*C
        qkv = qkv.view(batch, rows, window, columns, window, 3, heads, channels // heads)
        qkv = qkv.permute(5, 0, 1, 3, 6, 2, 4, 7).reshape(3, batch * rows * columns, heads, window * window, -1)
        query, key, value = qkv.unbind(0)  # each B*rows*columns, heads, window*window, C/heads
        x = F.scaled_dot_product_attention(query, key, value)  # B*rows*columns, heads, window*window, C/heads
        x = x.view(batch, rows, columns, heads, window, window, -1).permute(0, 1, 4, 2, 5, 3, 6)
        x = x.reshape(batch, rows * window, columns * window, channels)[:, :height, :width]  # B, H, W, C
        projected: Tensor = self.attn.proj(x.reshape(batch, height * width, channels))  # B, H*W, C
        return projected


def build_image_encoder(config: ImageEncoderConfig) -> davit.DaVit:
    """Build the image encoder with random weights, on the default device of torch (`meta`: without weights).

    Its `forward` maps normalised pixels (B, 3, H, W), of any height and width, to features (B, config.widths[-1]).
    The features are averaged over all positions and then layer-normalised.
    """
    encoder = davit.DaVit(
        depths=config.depths,
        embed_dims=config.widths,
        num_heads=config.heads,
        window_size=config.window_size,
        down_kernel_size=3,
        channel_attn_v2=True,
        named_blocks=True,
        drop_path_rate=config.drop_path_rate,
        num_classes=0,
    )
    for name, block in list(encoder.named_modules()):
        if isinstance(block, davit.SpatialBlock):
            encoder.set_submodule(name, UnpaddedSpatialBlock(block))
    return encoder.to(memory_format=torch.channels_last)
