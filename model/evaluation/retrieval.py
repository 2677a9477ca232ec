"""Retrieval of images by an image or a text.

Metrics of a query:
- `precision@k`: share of the first k images that are relevant.
- `recall@k`: share of the relevant images that are among the first k.
- `hit@k`: 1 if any of the first k images is relevant, otherwise 0. Papers on captions call this R@k.
- average precision: mean, over the relevant images, of the precision down to each of them.
"""

from collections.abc import Collection, Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from model.evaluation.statistics.metrics import Flags, Floats, Values

Features = NDArray[np.float32]

CUTOFFS = (1, 5, 10)
QUERIES_AT_ONCE = 256  # bounds the memory of the similarities


def image_queries(features: Features, truth: Flags, groups: Sequence[Hashable | None]) -> dict[str, Floats]:
    """Metrics of each image as a query for images that share a label with it, among the images of other groups.

    Args:
        features: (n, D), unit norm.
        truth: (n, L), the labels of each image.
        groups: n groups; the images of the query's group are not searched. An image with None is a group of its own.

    Returns:
        metric -> (n,); NaN for an image that shares no label with an image of another group.
    """
    numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
    own = np.array([-1 - row if group is None else numbers[group] for row, group in enumerate(groups)])
    shares = truth.astype(np.float32)
    parts = []
    for start in range(0, len(features), QUERIES_AT_ONCE):
        block = slice(start, start + QUERIES_AT_ONCE)
        excluded = own[block, None] == own[None]
        relevant = (shares[block] @ shares.T > 0) & ~excluded
        parts.append(_per_query(np.where(excluded, -np.inf, features[block] @ features.T), relevant))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def text_queries(text_features: Features, features: Features, relevant: Flags) -> dict[str, Floats]:
    """Metrics of each text as a query among all images.

    Args:
        text_features: (q, D), unit norm.
        features: (n, D), unit norm.
        relevant: (q, n), True for the images that a text describes.

    Returns:
        metric -> (q,); NaN for a text that describes no image.
    """
    parts = []
    for start in range(0, len(text_features), QUERIES_AT_ONCE):
        block = slice(start, start + QUERIES_AT_ONCE)
        parts.append(_per_query(text_features[block] @ features.T, relevant[block]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _per_query(similarity: Features, relevant: Flags) -> dict[str, Floats]:
    """Metrics of q queries among n images, from similarities (q, n) and relevance (q, n)."""
    order = np.argsort(-similarity, axis=1, kind="stable")
    ranked = np.take_along_axis(relevant, order, axis=1)
    found = np.cumsum(ranked, axis=1)
    total = found[:, -1].astype(np.float64)
    total[total == 0] = np.nan  # without relevant images no metric is defined
    precision = found / np.arange(1, relevant.shape[1] + 1)
    values = {"mean_average_precision": (precision * ranked).sum(axis=1) / total}
    for cutoff in CUTOFFS:
        hits = found[:, min(cutoff, relevant.shape[1]) - 1]
        values[f"precision@{cutoff}"] = np.where(np.isnan(total), np.nan, hits / cutoff)
        values[f"recall@{cutoff}"] = hits / total
        values[f"hit@{cutoff}"] = np.where(np.isnan(total), np.nan, (hits > 0).astype(np.float64))
    return values


class PromptQueries:
    """Measure of fixed queries, such as one per label, over weighted images.

    An image of weight w counts as w equal images. If such images cross the cutoff k, only those up to k count.

    Args:
        similarity: (L, n), the similarity of each query and each image.
        relevant: (L, n), True for the images that a query should find.
    """

    most = 1.0
    yes_or_no: Collection[str] = ("precision@1", *(f"hit@{cutoff}" for cutoff in CUTOFFS))

    def __init__(self, similarity: Features, relevant: Flags) -> None:
        self.truth = relevant.T
        self._order = np.argsort(-similarity, axis=1, kind="stable")
        self._relevant = np.take_along_axis(relevant, self._order, axis=1).astype(np.float64)

    def __call__(self, weights: Floats) -> Values:
        ranked = weights[self._order]  # (L, n)
        seen = np.cumsum(ranked, axis=1)
        ranked_relevant = ranked * self._relevant
        found = np.cumsum(ranked_relevant, axis=1)
        total = np.where(found[:, -1] > 0, found[:, -1], np.nan)
        precision = np.divide(found, seen, out=np.zeros(seen.shape), where=seen > 0)
        values = {"mean_average_precision": (ranked_relevant * precision).sum(axis=1) / total}
        for cutoff in CUTOFFS:
            taken = np.clip(cutoff - (seen - ranked), 0, ranked)
            hits = (taken * self._relevant).sum(axis=1)
            values[f"precision@{cutoff}"] = np.where(np.isnan(total), np.nan, hits / cutoff)
            values[f"recall@{cutoff}"] = hits / total
            values[f"hit@{cutoff}"] = np.where(np.isnan(total), np.nan, (hits > 0).astype(np.float64))
        return values
