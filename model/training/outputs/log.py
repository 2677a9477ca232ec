"""Log of a training: metrics.jsonl, and TensorBoard events if TensorBoard is installed."""

import json
import math
import os
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from model.output_file import output_errors_named, write_file

METRICS_FILE = "metrics.jsonl"
BEFORE_TRAINING = -1  # no step is finished, so that a log that begins keeps no record, not even that of step 0


class TrainingLog:
    """Metrics by step, as one JSON object per line, and as TensorBoard events.

    Args:
        folder: folder of the files.
        after_step: last finished step, or `BEFORE_TRAINING`. Later records are deleted, because a resumed training
            writes them again.
        tensorboard: whether to write TensorBoard events, if TensorBoard is installed.

    Raises:
        OutputError: a file cannot be written. `write` and `flush` raise it too.
    """

    def __init__(self, folder: Path, *, after_step: int, tensorboard: bool) -> None:
        self._path = folder / METRICS_FILE
        self.records = [record for record in read_metrics(self._path) if record["step"] <= after_step]
        lines = "".join(f"{json.dumps(record)}\n" for record in self.records)
        write_file(self._path, lambda partial: partial.write_text(lines, encoding="utf-8"))
        self._board: Any = None
        if tensorboard and find_spec("tensorboard"):
            from torch.utils.tensorboard import SummaryWriter

            self._board = SummaryWriter(str(folder / "tensorboard"), purge_step=after_step + 1)

    def write(self, step: int, metrics: dict[str, float]) -> None:
        """Add the metrics of a step."""
        record = {"step": step, **metrics}
        self.records.append(record)
        with output_errors_named(self._path), self._path.open("a", encoding="utf-8") as stream:
            stream.write(f"{json.dumps(record)}\n")
        if self._board:
            for name, value in metrics.items():
                self._board.add_scalar(name, value, step)

    def flush(self) -> None:
        """Bring all records to the disk. A state that is saved afterwards never outlives the records of its steps."""
        with output_errors_named(self._path), self._path.open("rb") as stream:
            os.fsync(stream.fileno())
        if self._board:
            self._board.flush()

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


@dataclass
class Interval:
    """Sums over the steps since the last record of the log.

    Attributes:
        losses: loss of each step.
        norms: norm of the gradient of each step that float16 did not skip.
        images: number of images.
        seconds: duration, with validation and loading of images.
    """

    losses: list[float] = field(default_factory=list)
    norms: list[float] = field(default_factory=list)
    images: int = 0
    seconds: float = 0.0

    def add(self, loss: float, norm: float, images: int, seconds: float) -> None:
        """Add a step: its loss, the norm of its gradient, its number of images, and its duration."""
        self.losses.append(loss)
        if math.isfinite(norm):  # not finite if float16 overflowed, and then the step is skipped
            self.norms.append(norm)
        self.images += images
        self.seconds += seconds

    def means(self) -> dict[str, float]:
        """Mean loss, mean norm of the gradient, and images per second."""
        return {
            "loss": sum(self.losses) / len(self.losses),
            "gradient_norm": sum(self.norms) / max(1, len(self.norms)),
            "images_per_s": round(self.images / self.seconds, 2),
        }
