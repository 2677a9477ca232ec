"""Figures of a task: ROC curves, calibration, and predicted against true numbers."""

import textwrap

from model.evaluation.classification import Classification
from model.evaluation.report.figures.canvas import (
    BLUE,
    GREY,
    Key,
    Picture,
    colours_of,
    dashes_of,
    empty_figure,
    png_uri,
    svg_uri,
    width_pixels,
)
from model.evaluation.statistics.metrics import Floats, calibration, expected_calibration_error
from model.optional_dependencies import extra

MOST_CURVES = 12
_WRAP_CHARS = 34


def roc_curves(task: Classification, macro_auc: float | None) -> Picture:
    """ROC curves, one per label. Of many labels, the `MOST_CURVES` with the smallest areas.

    Args:
        task: the scored rows.
        macro_auc: the average area; None if it is undefined.
    """
    curves = _curves(task)
    shown = curves[:MOST_CURVES]
    figure, axes = empty_figure()
    keys = []
    styles = zip(colours_of(len(shown)), dashes_of(len(shown)), strict=True)
    for (area, label, false_rate, true_rate), (colour, dash) in zip(shown, styles, strict=True):
        style = (0, tuple(float(part) / 2 for part in dash.split())) if dash else "-"
        axes.plot(false_rate, true_rate, color=colour, linewidth=2, linestyle=style)
        keys.append(Key(label, colour, dash, value=f"{area:.3f}"))
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", aspect="equal")
    which = f"{len(shown)} labels"
    if len(shown) < len(curves):
        which = f"the {which} with the smallest areas, of {len(curves)}"
    average = "undefined" if macro_auc is None else f"{macro_auc:.3f}"
    range_of = f"; the areas shown are {shown[0][0]:.3f} to {shown[-1][0]:.3f}" if shown else ""
    alt = f"ROC curves of {which}: the macro average of all areas is {average}{range_of}."
    return Picture(svg_uri(figure), width_pixels(), f"ROC curves and their areas: {which}", alt, keys)


def _curves(task: Classification) -> list[tuple[float, str, Floats, Floats]]:
    """Area, label, false-positive and true-positive rates of each label that has both kinds of rows; by area."""
    curve, area = extra("sklearn.metrics").roc_curve, extra("sklearn.metrics").auc
    curves = []
    for column, label in enumerate(task.labels):
        positive = task.truth[:, column]
        if positive.any() and not positive.all():
            false_rate, true_rate, _ = curve(positive, task.scores[:, column])
            curves.append((float(area(false_rate, true_rate)), label, false_rate, true_rate))
    return sorted(curves, key=lambda entry: entry[0])


def calibration_curve(task: Classification) -> Picture:
    """Share of correct predictions against the predicted probability."""
    bins = calibration(task.truth, task.scores)
    figure, axes = empty_figure()
    sizes = [30 + 250 * part.rows / len(task.truth) for part in bins]
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    confidence, right = [part.confidence for part in bins], [part.right for part in bins]
    axes.plot(confidence, right, color=BLUE, linewidth=1.5)
    axes.scatter(confidence, right, s=sizes, color=BLUE, alpha=0.7)
    axes.set(xlabel="probability of the likeliest label", ylabel="share of correct predictions")
    axes.set(xlim=(0, 1.04), ylim=(-0.04, 1.04), aspect="equal")
    alt = (
        "Calibration: share of correct predictions against the probability of the likeliest label; "
        f"the expected calibration error is {expected_calibration_error(bins):.3f}."
    )
    return Picture(svg_uri(figure), width_pixels(), "Calibration: larger points stand for more rows", alt)


def regression_scatter(truth: Floats, predicted: Floats, target: str) -> Picture:
    """Predicted against true values.

    Args:
        truth, predicted: (n,), the values.
        target: name of the column.
    """
    figure, axes = empty_figure()
    low, high = float(min(truth.min(), predicted.min())), float(max(truth.max(), predicted.max()))
    axes.plot([low, high], [low, high], color=GREY, linewidth=1, linestyle=":")
    axes.scatter(truth, predicted, s=14, color=BLUE, alpha=0.5, linewidths=0)
    name = textwrap.fill(target, _WRAP_CHARS).replace("$", r"\$")
    axes.set(xlabel=f"{name}, true", ylabel=f"{name}, predicted")
    error = float(abs(predicted - truth).mean())
    alt = f"Predicted against true {target} of {len(truth)} rows: the mean absolute error is {error:.3f}."
    return Picture(png_uri(figure), width_pixels(), f"Predicted against true {target}", alt)
