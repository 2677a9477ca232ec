"""Log of a training: metrics.jsonl, TensorBoard events if TensorBoard is installed, and the curves in training.png."""

import json
import math
import time
from importlib.util import find_spec
from pathlib import Path
from typing import Any

METRICS_FILE, CURVES_FILE = "metrics.jsonl", "training.png"


class TrainingLog:
    """Metrics by step, as one JSON object per line, and as TensorBoard events.

    Args:
        folder: folder of the files.
        after_step: last finished step. Later records are deleted, because a resumed training writes them again.
        tensorboard: whether to write TensorBoard events, if TensorBoard is installed.
    """

    def __init__(self, folder: Path, *, after_step: int, tensorboard: bool) -> None:
        self._path = folder / METRICS_FILE
        self.records = [record for record in read_metrics(self._path) if record["step"] <= after_step]
        partial = self._path.with_suffix(".partial")
        partial.write_text("".join(f"{json.dumps(record)}\n" for record in self.records), encoding="utf-8")
        partial.replace(self._path)
        self._board: Any = None
        if tensorboard and find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=after_step + 1)

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Add the metrics of a step."""
        record = {"step": step, **metrics}
        self.records.append(record)
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(f"{json.dumps(record)}\n")
        if self._board:
            for name, value in metrics.items():
                self._board.add_scalar(name, value, step)

    def close(self) -> None:
        if self._board:
            self._board.close()


def read_metrics(path: Path) -> list[dict[str, float]]:
    """The records of a metrics.jsonl, up to a line that is incomplete because the process was killed."""
    records = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            records.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return records


def draw_curves(records: list[dict[str, float]], path: Path) -> bool:
    """Draw losses, accuracies, learning rate and temperature to a PNG file. Returns False if matplotlib is missing."""
    if not find_spec("matplotlib"):
        return False
    from matplotlib.figure import Figure

    panels = (
        ("loss", ("loss", "val_loss")),
        ("zero-shot", ("val_accuracy", "val_balanced_accuracy")),
        ("learning rate", ("learning_rate",)),
        ("logit scale", ("logit_scale",)),
    )
    figure = Figure(figsize=(11, 7), layout="constrained")
    for axes, (title, names) in zip(figure.subplots(2, 2).flat, panels, strict=True):
        for name in names:
            points = [(record["step"], record[name]) for record in records if name in record]
            if points:
                axes.plot(*zip(*points, strict=True), label=name, marker="." if name.startswith("val_") else None)
        axes.set(title=title, xlabel="step")
        axes.grid(alpha=0.3)
        if axes.lines:
            axes.legend()
    figure.savefig(path, dpi=110)
    return True


class Interval:
    """Means over the steps between two records of the log."""

    def __init__(self) -> None:
        self._losses: list[float] = []
        self._norms: list[float] = []
        self._images, self._start = 0, time.perf_counter()

    def add(self, loss: float, norm: float, images: int) -> None:
        """Add a step: its loss, the norm of its gradient, and its number of images."""
        self._losses.append(loss)
        if math.isfinite(norm):  # not finite if float16 overflowed, and then the step is skipped
            self._norms.append(norm)
        self._images += images

    def means(self) -> dict[str, float]:
        """Mean loss, mean norm of the gradient, and images per second."""
        return {
            "loss": sum(self._losses) / len(self._losses),
            "gradient_norm": sum(self._norms) / max(1, len(self._norms)),
            "images_per_s": round(self._images / (time.perf_counter() - self._start), 2),
        }
