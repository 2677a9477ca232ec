"""Table of predictions for a terminal: one line per image, one column per head."""

from collections.abc import Iterator

from app.cli.options.shared import shown
from app.cli.predictions.prediction import Prediction, Predictions

_GAP = "  "


def table(predictions: Predictions) -> Iterator[str]:
    """The lines of the table, a header first. A cell has the labels of a head with their scores, best first."""
    rows = [("path", *map(shown, predictions.heads))]
    for position in predictions.positions:
        cells = (", ".join(map(_cell, predictions.of(position, name))) for name in predictions.heads)
        rows.append((shown(predictions.images[position].path), *cells))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        yield _GAP.join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()


def _cell(prediction: Prediction) -> str:
    if prediction.value is not None:
        return f"{shown(prediction.label)} {prediction.value:.4g}"
    call = f" ({prediction.call})" if prediction.call else ""
    return f"{shown(prediction.label)} {prediction.score:.2f}{call}"
