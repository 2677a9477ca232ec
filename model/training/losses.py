"""The UniCL loss (Yang et al. 2022, arXiv:2204.03610): contrastive, with all pairs of a label as positives."""

import torch
from torch import Tensor

NO_LABEL = -1


def positive_pairs(labels: Tensor, texts: Tensor) -> Tensor:
    """The positive pairs of images and texts in a batch: those with the same label or with the same text.

    Args:
        labels: (B,) int64, label numbers; `NO_LABEL` for a row without a label.
        texts: (B,) int64, text numbers; equal texts have equal numbers.

    Returns:
        (B, B) bool, symmetric, True on the diagonal.
    """
    same_label = (labels[:, None] == labels[None, :]) & (labels != NO_LABEL)[:, None]
    return same_label | (texts[:, None] == texts[None, :])


def unicl_loss(image_features: Tensor, text_features: Tensor, positives: Tensor, logit_scale: Tensor) -> Tensor:
    """The mean of the image-to-text loss and the text-to-image loss.

    For image i with the positive texts P(i), the image-to-text loss is -1/|P(i)| * sum over k in P(i) of
    log softmax_k(exp(logit_scale) * image_i . text_k). The text-to-image loss exchanges images and texts. If only the
    diagonal is positive, this is CLIP's loss.

    Args:
        image_features: (B, D), unit L2 norm.
        text_features: (B, D), unit L2 norm; row i is the text of image i.
        positives: (B, B) bool, as `positive_pairs` returns it.
        logit_scale: scalar, the log of the inverse temperature.

    Returns:
        A scalar, at least 0.
    """
    logits = logit_scale.exp() * image_features @ text_features.T  # images x texts
    return (_multi_positive_loss(logits, positives) + _multi_positive_loss(logits.T, positives.T)) / 2


def _multi_positive_loss(logits: Tensor, positives: Tensor) -> Tensor:
    log_probabilities = torch.log_softmax(logits, dim=-1)
    per_row = torch.where(positives, log_probabilities, 0.0).sum(-1) / positives.sum(-1)
    return -per_row.mean()
