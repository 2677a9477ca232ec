"""The UniCL objective (Yang et al. 2022, arXiv:2204.03610): contrastive, where a label has many positives."""

import torch
from torch import Tensor

NO_LABEL = -1


def positive_pairs(labels: Tensor, texts: Tensor) -> Tensor:
    """Which image and text of a batch belong together: those of one label, and those of one text.

    Args:
        labels: (B,) int64 label numbers, `NO_LABEL` for a pair that has none.
        texts: (B,) int64 numbers of the texts, equal where the texts are equal.

    Returns:
        (B, B) bool, symmetric, True on the diagonal.
    """
    same_label = (labels[:, None] == labels[None, :]) & (labels != NO_LABEL)[:, None]
    return same_label | (texts[:, None] == texts[None, :])


def unicl_loss(image_features: Tensor, text_features: Tensor, positives: Tensor, logit_scale: Tensor) -> Tensor:
    """The mean of the image-to-text and the text-to-image loss; with no positives off the diagonal, CLIP's loss.

    For image i with the positive texts P(i), the first is -1/|P(i)| * sum over k in P(i) of
    log softmax_k(exp(logit_scale) * image_i . text_k); the second is the same with the roles exchanged.

    Args:
        image_features: (B, D) of unit L2 norm.
        text_features: (B, D) of unit L2 norm; row i is the text of image i.
        positives: (B, B) bool, see `positive_pairs`.
        logit_scale: scalar, the log of the inverse temperature.

    Returns:
        A scalar, not negative.
    """
    logits = logit_scale.exp() * image_features @ text_features.T  # images x texts
    return (_multi_positive_loss(logits, positives) + _multi_positive_loss(logits.T, positives.T)) / 2


def _multi_positive_loss(logits: Tensor, positives: Tensor) -> Tensor:
    log_probabilities = torch.log_softmax(logits, dim=-1)
    per_row = torch.where(positives, log_probabilities, 0.0).sum(-1) / positives.sum(-1)
    return -per_row.mean()
