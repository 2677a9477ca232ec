"""Finding images by an image or a text: how soon the right ones come.

Of a query, `precision@k` is the share of the first k images that are relevant, `recall@k` the share of all relevant
images that are among the first k, `hit@k` whether any is (what papers on captions call R@k), and average precision the
mean, over the relevant images, of the precision down to each of them.
"""

from collections.abc import Hashable, Sequence

import numpy as np
from numpy.typing import NDArray

from model.evaluation.statistics.metrics import Flags, Floats, Ints, Values

Features = NDArray[np.float32]

CUTOFFS = (1, 5, 10)
QUERIES_AT_ONCE = 256


def image_queries(features: Features, truth: Flags, groups: Sequence[Hashable | None]) -> dict[str, Floats]:
    """Each image as a query for those that share a label with it, among all images of other groups.

    Args:
        features: (n, D), unit norm.
        truth: (n, L), the images' labels.
        groups: images of the query's own group are no finds; None is a group of its own.

    Returns:
        metric -> (n,); NaN for an image that no other shares a label with.
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
    """Each text as a query among all images.

    Args:
        text_features: (q, D), unit norm.
        features: (n, D), unit norm.
        relevant: (q, n), which images each text describes.

    Returns:
        metric -> (q,).
    """
    parts = []
    for start in range(0, len(text_features), QUERIES_AT_ONCE):
        block = slice(start, start + QUERIES_AT_ONCE)
        parts.append(_per_query(text_features[block] @ features.T, relevant[block]))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _per_query(similarity: Features, relevant: Flags) -> dict[str, Floats]:
    """The metrics of queries (q, n): how similar the images are, and which are relevant."""
    order = np.argsort(-similarity, axis=1, kind="stable")
    ranked = np.take_along_axis(relevant, order, axis=1)
    found = np.cumsum(ranked, axis=1)
    total = found[:, -1].astype(np.float64)
    total[total == 0] = np.nan  # nothing to find: no metric is defined
    precision = found / np.arange(1, relevant.shape[1] + 1)
    values = {"mean_average_precision": (precision * ranked).sum(axis=1) / total}
    for cutoff in CUTOFFS:
        hits = found[:, min(cutoff, relevant.shape[1]) - 1]
        values[f"precision@{cutoff}"] = np.where(np.isnan(total), np.nan, hits / cutoff)
        values[f"recall@{cutoff}"] = hits / total
        values[f"hit@{cutoff}"] = np.where(np.isnan(total), np.nan, (hits > 0).astype(np.float64))
    return values


class PromptQueries:
    """A few fixed queries, such as one a label, over images that are weighted: a measure for the bootstrap.

    An image of weight w stands for w images that are alike; of those at the cut, as many count as there is room for.

    Args:
        similarity: (L, n), of each query to each image.
        relevant: (L, n).
    """

    def __init__(self, similarity: Features, relevant: Flags) -> None:
        self._order = np.argsort(-similarity, axis=1, kind="stable")
        self._relevant = np.take_along_axis(relevant, self._order, axis=1).astype(np.int64)

    def __call__(self, weights: Ints) -> Values:
        ranked = weights[self._order]  # (L, n)
        seen = np.cumsum(ranked, axis=1)
        finds = ranked * self._relevant
        found = np.cumsum(finds, axis=1)
        total = found[:, -1].astype(np.float64)
        total[total == 0] = np.nan
        values = {"mean_average_precision": (finds * found / np.maximum(seen, 1)).sum(axis=1) / total}
        for cutoff in CUTOFFS:
            taken = np.clip(cutoff - (seen - ranked), 0, ranked)
            hits = (taken * self._relevant).sum(axis=1)
            values[f"precision@{cutoff}"] = np.where(np.isnan(total), np.nan, hits / cutoff)
            values[f"recall@{cutoff}"] = hits / total
            values[f"hit@{cutoff}"] = np.where(np.isnan(total), np.nan, (hits > 0).astype(np.float64))
        return values
