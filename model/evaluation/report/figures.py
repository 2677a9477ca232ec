"""Pictures of the report as data URIs: SVG for few lines, PNG for many points."""

import base64
import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from model.evaluation.classification import Classification
from model.evaluation.statistics.metrics import Floats, calibration
from model.optional_dependencies import extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_CURVES = 12
MOST_LABELS_WITH_COUNTS = 20  # a larger confusion matrix has colours only
MOST_MAPPED = 1500  # rows; t-SNE of more takes minutes
FEWEST_FOR_TSNE = 50
_GRID = "#d9dee5"
_STYLE = {
    "font.size": 9.0,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": "#8a94a3",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "report",  # equal pictures are equal bytes
}


def roc_curves(task: Classification) -> str:
    """ROC curves, one per label, as a data URI. Of many labels, the `MOST_CURVES` with the smallest areas."""
    curve, area = extra("sklearn.metrics").roc_curve, extra("sklearn.metrics").auc
    curves = []
    for column, label in enumerate(task.labels):
        positive = task.truth[:, column]
        if positive.any() and not positive.all():
            false_rate, true_rate, _ = curve(positive, task.scores[:, column])
            curves.append((float(area(false_rate, true_rate)), label, false_rate, true_rate))
    shown = sorted(curves, key=lambda entry: entry[0])[:MOST_CURVES]
    figure, axes = _figure(7.2, 4.4)
    for (value, label, false_rate, true_rate), color in zip(shown, _colors(len(shown)), strict=True):
        axes.plot(false_rate, true_rate, color=color, linewidth=1.4, label=f"{_short(label)}  {value:.3f}")
    axes.plot([0, 1], [0, 1], color="#8a94a3", linewidth=0.8, linestyle=":")
    left_out = f" ({len(shown)} lowest of {len(curves)} labels)" if len(shown) < len(curves) else ""
    axes.set(
        xlabel="1 - specificity", ylabel="sensitivity", title=f"ROC curves and their areas{left_out}", aspect="equal"
    )
    if shown:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=6.5, frameon=False)
    return _svg(figure)


def confusion_matrix(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> str:
    """Confusion matrix as a data URI: true labels down, predicted labels across.

    The shade of a cell is its share of the true label's rows; the number in it counts rows.
    """
    table = np.array(counts, dtype=float)
    shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
    side = 2.2 + 0.33 * min(len(labels), 30)
    figure, axes = _figure(side + 0.6, side)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [_short(label) for label in labels]
    axes.set_xticks(range(len(names)), names, rotation=60, ha="right", fontsize=6.5)
    axes.set_yticks(range(len(names)), names, fontsize=6.5)
    axes.set(xlabel="predicted", ylabel="true", title="Confusion matrix")
    axes.grid(visible=False)
    if len(labels) <= MOST_LABELS_WITH_COUNTS:
        for (row, column), count in np.ndenumerate(table):
            if count:
                color = "white" if shares[row, column] > 0.55 else "#24303f"
                axes.text(column, row, f"{count:.0f}", ha="center", va="center", fontsize=6.5, color=color)
    return _svg(figure)


def calibration_curve(task: Classification) -> str:
    """Share of correct predictions against the predicted probability, as a data URI."""
    bins = calibration(task.truth, task.scores)
    figure, axes = _figure(4.6, 4.4)
    sizes = [20 + 180 * part.rows / len(task.truth) for part in bins]
    axes.plot([0, 1], [0, 1], color="#8a94a3", linewidth=0.8, linestyle=":")
    confidence, right = [part.confidence for part in bins], [part.right for part in bins]
    axes.plot(confidence, right, color="#1f5fa8", linewidth=1)
    axes.scatter(confidence, right, s=sizes, color="#1f5fa8", alpha=0.7)
    axes.set(xlabel="probability of the likeliest label", ylabel="share of correct predictions", title="Calibration")
    axes.set(xlim=(0, 1.03), ylim=(-0.03, 1.03), aspect="equal")
    return _svg(figure)


def regression_scatter(truth: Floats, predicted: Floats, target: str) -> str:
    """Predicted against true values, as a data URI."""
    figure, axes = _figure(4.6, 4.4)
    low, high = float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))
    axes.plot([low, high], [low, high], color="#8a94a3", linewidth=0.8, linestyle=":")
    axes.scatter(truth, predicted, s=8, color="#1f5fa8", alpha=0.5, linewidths=0)
    axes.set(xlabel=f"{target}, true", ylabel=f"{target}, predicted", title="Regression")
    return _png(figure)


def embedding_map(features: NDArray[np.float32], names: Sequence[str], seed: int) -> str:
    """Scatter plot of embeddings in two dimensions, by t-SNE (by PCA for few rows), as a data URI.

    Args:
        features: (n, D); of more than `MOST_MAPPED` rows, a random sample is shown.
        names: n names; each name has its colour.
        seed: seed of the sample, of t-SNE and of PCA.
    """
    rows = np.arange(len(features))
    if len(rows) > MOST_MAPPED:
        rows = np.sort(np.random.default_rng(seed).choice(rows, MOST_MAPPED, replace=False))
    tsne = len(rows) >= FEWEST_FOR_TSNE
    points = _reduced(features[rows], seed, tsne=tsne)
    distinct = sorted(set(names))
    figure, axes = _figure(8.2, 5.2)
    for name, color in zip(distinct, _colors(len(distinct)), strict=True):
        inside = [place for place, row in enumerate(rows.tolist()) if names[row] == name]
        axes.scatter(
            points[inside, 0], points[inside, 1], s=9, color=color, label=_short(name), linewidths=0, alpha=0.8
        )
    axes.set(xticks=[], yticks=[], title=f"Embeddings, {'t-SNE' if tsne else 'PCA'} of {len(rows)} rows")
    if len(distinct) <= 30:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=6.5, markerscale=2, frameon=False)
    return _png(figure)


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


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    matplotlib = extra("matplotlib")
    with matplotlib.rc_context(_STYLE):
        figure: Figure = extra("matplotlib.figure").Figure(figsize=(width, height), layout="constrained")
        axes = figure.subplots()
        axes.grid(visible=True, color=_GRID, linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, axes


def _colors(count: int) -> list[Any]:
    colormaps = extra("matplotlib").colormaps
    if count <= 20:
        return list(colormaps["tab10" if count <= 10 else "tab20"].colors[:count])
    return [colormaps["turbo"](place / count) for place in range(count)]


def _short(label: str, most: int = 34) -> str:
    shown = label if len(label) <= most else f"{label[: most - 1]}…"
    return shown.replace("$", r"\$").lstrip("_") or "(none)"


def _svg(figure: "Figure") -> str:
    return _data_uri(figure, "svg", "image/svg+xml", metadata={"Date": None})


def _png(figure: "Figure") -> str:
    return _data_uri(figure, "png", "image/png", dpi=130)


def _data_uri(figure: "Figure", kind: str, mime: str, **options: Any) -> str:
    stream = io.BytesIO()
    with extra("matplotlib").rc_context(_STYLE):
        figure.savefig(stream, format=kind, **options)
    return f"data:{mime};base64,{base64.b64encode(stream.getvalue()).decode()}"
