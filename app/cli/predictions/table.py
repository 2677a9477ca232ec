"""Table of predictions for a terminal: one line per image, one column per head."""

from collections.abc import Iterator

from app.cli.options.shared import aligned, shown
from app.cli.predictions.prediction import Prediction, Predictions


def table(predictions: Predictions) -> Iterator[str]:
    """The lines of the table, a header first. A cell has the labels of a head with their scores, best first."""
    rows = [("path", *map(shown, predictions.heads))]
    for position in predictions.positions:
        cells = (", ".join(map(_cell, predictions.of(position, name))) for name in predictions.heads)
        rows.append((shown(predictions.images[position].path), *cells))
    return aligned(rows)


def _cell(prediction: Prediction) -> str:
    if prediction.value is not None:
        return f"{shown(prediction.label)} {prediction.value:.4g}"
    call = f" ({prediction.call})" if prediction.call else ""
    return f"{shown(prediction.label)} {prediction.score:.2f}{call}"
