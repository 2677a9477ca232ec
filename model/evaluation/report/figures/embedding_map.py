"""Map of the embeddings."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from model.evaluation.report.figures.canvas import Key, Picture, colours_of, empty_figure, png_uri, width_pixels
from model.evaluation.statistics.metrics import Floats
from model.optional_dependencies import extra

MOST_MAPPED = 1500  # rows; t-SNE of more takes minutes
FEWEST_FOR_TSNE = 50
MOST_NUMBERED = 40  # names; more numbers would cover the points


def embedding_map(features: NDArray[np.float32], names: Sequence[str], seed: int) -> Picture:
    """Scatter plot of embeddings in two dimensions, by t-SNE (by PCA for few rows).

    The number of each name stands at the median of its points.

    Args:
        features: (n, D); of more than `MOST_MAPPED` rows, a random sample is shown.
        names: n names; each name has a number and a colour.
        seed: seed of the sample, of t-SNE and of PCA.
    """
    rows = np.arange(len(features))
    if len(rows) > MOST_MAPPED:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_MAPPED, replace=False))
    tsne = len(rows) >= FEWEST_FOR_TSNE
    points = _reduced(features[rows], seed, tsne=tsne)
    distinct = sorted({names[row] for row in rows.tolist()})
    figure, axes = empty_figure()
    keys = []
    for number, (name, colour) in enumerate(zip(distinct, colours_of(len(distinct)), strict=True), start=1):
        inside = points[[place for place, row in enumerate(rows.tolist()) if names[row] == name]]
        axes.scatter(inside[:, 0], inside[:, 1], s=12, color=colour, linewidths=0, alpha=0.7)
        if len(distinct) <= MOST_NUMBERED:
            x, y = np.median(inside, axis=0)
            box = {"boxstyle": "round,pad=0.15", "facecolor": "white", "edgecolor": colour, "alpha": 0.85}
            axes.text(x, y, str(number), ha="center", va="center", bbox=box)
        keys.append(Key(name, colour, number=number, value=f"{len(inside)} rows"))
    axes.set(xticks=[], yticks=[])
    method = "t-SNE" if tsne else "PCA"
    alt = (
        f"Map of the embeddings of {len(rows)} rows with {len(distinct)} labels, by {method}: "
        "points near each other have similar embeddings."
    )
    return Picture(png_uri(figure), width_pixels(), f"Embeddings, {method} of {len(rows)} rows", alt, keys)


def _reduced(features: NDArray[np.float32], seed: int, *, tsne: bool) -> Floats:
    if min(features.shape) < 2:
        return np.zeros((len(features), 2))
    decomposition = extra("sklearn.decomposition")
    if not tsne:
        points: Floats = decomposition.PCA(2, random_state=seed).fit_transform(features)
        return points
    small = decomposition.PCA(min(50, *features.shape), random_state=seed).fit_transform(features)
    mapped: Floats = (
        extra("sklearn.manifold").TSNE(2, init="pca", perplexity=15, random_state=seed).fit_transform(small)
    )
    return mapped
