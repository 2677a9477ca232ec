"""Scores of images for labels from the embeddings of the labels' prompts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.embedder import Embedder, shortened
from model.errors import ManifestError
from model.evaluation.statistics.metrics import Floats

Features = NDArray[np.float32]

SHORTEST_MEAN = 1e-4  # of unit vectors; a shorter mean has a direction of rounding errors


def label_features(embedder: Embedder, texts: Sequence[Sequence[str]]) -> Features:
    """One unit vector per label: the mean of its texts' embeddings (Radford et al. 2021, section 3.1.4).

    Args:
        embedder: the model.
        texts: L groups of one text or more.

    Returns:
        (L, D), unit norm.

    Raises:
        ManifestError: the embeddings of a label's texts cancel each other.
    """
    return mean_vectors(embedder.texts([text for group in texts for text in group]), texts)


def mean_vectors(features: Features, texts: Sequence[Sequence[str]]) -> Features:
    """One unit vector per label, as `label_features`, from embeddings of the texts.

    Args:
        features: (n, D), unit norm: the embeddings of all texts, in order.
        texts: L groups of one text or more, n texts in all.

    Returns:
        (L, D) float32, unit norm.

    Raises:
        ManifestError: the embeddings of a label's texts cancel each other; the sentence quotes the first text.
    """
    ends = np.cumsum([len(group) for group in texts])
    means = np.stack([part.mean(axis=0) for part in np.split(features, ends[:-1])])
    lengths = np.linalg.norm(means, axis=1, keepdims=True)
    for group, length in zip(texts, lengths[:, 0], strict=True):
        if not length > SHORTEST_MEAN:
            raise ManifestError(f"the prompt {shortened(group[0])} and the others of its label cancel each other")
    unit: Features = means / lengths
    return unit


def zero_shot_scores(
    image_features: Features,
    present: Features | Floats,
    absent: Features | Floats | None,
    logit_scale: float,
    *,
    one_label: bool,
) -> Floats:
    """Scores (n, L) of images for labels, computed in float64; vectors that are float64 already are not copied.

    Args:
        image_features: (n, D), unit norm.
        present: (L, D), unit norm, embeddings of the prompts that state the label.
        absent: (L, D), unit norm, embeddings of the prompts that state its absence; None if there are no such prompts.
        logit_scale: the model's log temperature.
        one_label: True if each row has one label: the scores are a softmax over the labels. False: each score is the
            probability of presence against absence, or, without prompts for absence, the cosine similarity.
    """
    images = image_features.astype(np.float64)
    similarity = images @ present.T.astype(np.float64, copy=False)
    if one_label:
        return _softmax(np.exp(logit_scale) * similarity)
    if absent is None:
        return similarity
    difference = similarity - images @ absent.T.astype(np.float64, copy=False)
    probabilities: Floats = 1 / (1 + np.exp(-np.exp(logit_scale) * difference))
    return probabilities


def _softmax(logits: Floats) -> Floats:
    """Softmax along the last axis."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    shares: Floats = powers / powers.sum(axis=-1, keepdims=True)
    return shares
