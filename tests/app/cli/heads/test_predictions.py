"""Predictions of heads: their order, their calls at operating points, and their cells on a terminal."""

from pathlib import Path

import numpy as np
import pytest
import torch

from app.cli.predictions.files import COLUMNS, write_csv
from app.cli.predictions.prediction import Predictions
from app.cli.predictions.table import table
from model.data.image_source import ImageSource
from model.heads.head import Head
from model.heads.scorers.layers import LayersScorer
from model.heads.scorers.scorer import Activation

IMAGES = [ImageSource(Path("a.png")), ImageSource(Path("b.png"))]
POINTS = {"youden": {"threshold": 0.7}, "sensitivity_90": {"threshold": 0.3}}


def head(labels: tuple[str, ...], activation: Activation, *, with_points: bool = False) -> Head:
    tensors = {"0.weight": torch.zeros(len(labels), 2), "0.bias": torch.zeros(len(labels))}
    scorer = LayersScorer.from_tensors(tensors, activation)
    thresholds = dict.fromkeys(labels, POINTS) if with_points else {}
    return Head("linear", labels, activation, scorer, {}, thresholds=thresholds)


def predictions(*, top_k: int | None = None) -> Predictions:
    """A classifier with operating points for both images, and a regression that could not read the first."""
    return Predictions(
        IMAGES,
        {"chest": head(("mass", "edema", "hernia"), "sigmoid", with_points=True), "age": head(("months",), "identity")},
        {"chest": {0: np.array([0.5, 0.9, 0.1]), 1: np.array([0.3, 0.3, 0.31])}, "age": {1: np.array([132.46])}},
        top_k,
        [],
    )


def test_labels_are_sorted_by_score_and_equal_ones_keep_the_order_of_the_head() -> None:
    first, second = ([one.label for one in predictions().of(image, "chest")] for image in (0, 1))
    assert first == ["edema", "mass", "hernia"]
    assert second == ["hernia", "mass", "edema"]
    assert [(one.label, one.rank) for one in predictions(top_k=2).of(0, "chest")] == [("edema", 1), ("mass", 2)]


def test_a_head_with_operating_points_says_what_a_score_means() -> None:
    assert [one.call for one in predictions().of(0, "chest")] == ["positive", "possible", "negative"]


def test_a_regression_has_a_value_and_no_score() -> None:
    (one,) = predictions().of(1, "age")
    assert one.value == pytest.approx(132.46)
    assert (one.score, one.call) == (None, None)
    assert list(predictions().of(0, "age")) == []


def test_a_file_has_the_cells_of_each_prediction(tmp_path: Path) -> None:
    (one,) = predictions().of(1, "age")
    assert tuple(one) == (Path("b.png"), "age", 1, "months", None, None, 132.46)
    write_csv([one], tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == [",".join(COLUMNS), "b.png,age,1,months,,,132.46"]


def test_the_table_has_one_column_per_head() -> None:
    assert list(table(predictions(top_k=2))) == [
        "path   chest                                         age",
        "a.png  edema 0.90 (positive), mass 0.50 (possible)",
        "b.png  hernia 0.31 (possible), mass 0.30 (negative)  months 132.5",
    ]
