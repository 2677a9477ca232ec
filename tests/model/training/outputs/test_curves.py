"""The curves of a training."""

from pathlib import Path

import pytest
from matplotlib.axes import Axes
from PIL import Image

from model.training.outputs.curves import draw_curves, points_of

RECORDS = [
    {"step": 0, "val_loss": 2.0, "val_accuracy": 0.31, "val_balanced_accuracy": 0.3},
    {"step": 5, "loss": 1.5, "learning_rate": 1e-4, "logit_scale": 4.6},
    {"step": 10, "loss": 1.1, "learning_rate": 5e-5, "logit_scale": 4.7},
    {"step": 10, "val_loss": 1.2, "val_accuracy": 0.82, "val_balanced_accuracy": 0.8},
]


def test_the_curve_starts_with_the_untrained_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    labels: list[str] = []
    plot = Axes.plot

    def noted(axes: Axes, *data: object, **style: object) -> object:
        labels.append(str(style["label"]))
        return plot(axes, *data, **style)  # type: ignore[arg-type]  # whatever draw_curves gives

    monkeypatch.setattr(Axes, "plot", noted)
    assert draw_curves(RECORDS, tmp_path / "training.png")
    assert points_of(RECORDS, "val_accuracy") == [(0, 0.31), (10, 0.82)]
    assert "accuracy: 0.310 before, 0.820 at the end" in labels
    assert "training" in labels
    with Image.open(tmp_path / "training.png") as picture:
        assert picture.size == (1430, 990)
