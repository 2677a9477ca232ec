"""MedImageInsight: embeds images and texts in one space (Codella et al. 2024, arXiv:2410.06542)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from model.config import ModelConfig
from model.encoders.image_encoder import build_image_encoder
from model.encoders.text_encoder import TextEncoder


class MedImageInsight(nn.Module):
    """Both encoders, their projections, and `logit_scale`, the learned log temperature."""

    text_encoder: TextEncoder
    text_projection: nn.Parameter

    def __init__(self, config: ModelConfig, vocabulary_size: int | None) -> None:
        """Make both encoders with random weights.

        Args:
            config: the sizes.
            vocabulary_size: number of tokens of the tokenizer; None leaves out the text encoder and its projection.
        """
        super().__init__()
        self.image_encoder = build_image_encoder(config.image)
        if vocabulary_size is not None:
            self.text_encoder = TextEncoder(config.text, vocabulary_size)
        self.image_projection = _projection(config.image.widths[-1], config.embedding_size)
        if vocabulary_size is not None:
            self.text_projection = _projection(config.text.width, config.embedding_size)
        self.logit_scale = nn.Parameter(torch.ones([]))

    def encode_image(self, pixels: Tensor, *, normalize: bool = True) -> Tensor:
        """Embed images.

        Args:
            pixels: (B, 3, H, W), normalised with the mean and std of the config, in the dtype of the model.
            normalize: divide each row by its L2 norm. Default: True.

        Returns:
            `image_features`, (B, D) float32.
        """
        projected = (self.image_encoder(pixels) @ self.image_projection).float()  # B, D
        return F.normalize(projected, dim=-1) if normalize else projected

    def encode_text(self, input_ids: Tensor, attention_mask: Tensor, *, normalize: bool = True) -> Tensor:
        """Embed tokenized texts.

        Args:
            input_ids: (B, L) int64 token ids, L at most the context length, with the padding at the end.
            attention_mask: (B, L) bool, False on padding.
            normalize: divide each row by its L2 norm. Default: True.

        Returns:
            `text_features`, (B, D) float32.
        """
        projected = (self.text_encoder(input_ids, attention_mask) @ self.text_projection).float()  # B, D
        return F.normalize(projected, dim=-1) if normalize else projected


def _projection(width: int, embedding_size: int) -> nn.Parameter:
    """A projection (C, D) with random weights."""
    return nn.Parameter(nn.init.trunc_normal_(torch.empty(width, embedding_size), std=0.02))
