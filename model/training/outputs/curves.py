"""The curves of a training, in training.png."""

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from model.output_file import write_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CURVES_FILE = "training.png"
_PANELS = (
    ("Loss", {"loss": "training", "val_loss": "validation"}),
    ("Zero-shot on the validation rows", {"val_accuracy": "accuracy", "val_balanced_accuracy": "balanced accuracy"}),
    ("Learning rate", {"learning_rate": "learning rate"}),
    ("Logit scale (log temperature)", {"logit_scale": "logit scale"}),
)
_FONT_PT = 14  # readable when the picture is shown at half its size
_STYLES = (("#0072b2", "-"), ("#d55e00", "--"))  # the second one lets the first be seen below it

Records = Sequence[dict[str, float]]
Points = list[tuple[float, float]]


def draw_curves(records: Records, path: Path) -> bool:
    """Draw losses, accuracies, learning rate and temperature to a PNG file. Returns False if matplotlib is missing.

    The points of step 0 are those of the model before the training; a dotted line continues them.

    Args:
        records: the records of the log.
        path: the file.

    Raises:
        OutputError: the file cannot be written.
    """
    if not find_spec("matplotlib"):
        return False
    from matplotlib import rc_context
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import MaxNLocator

    with rc_context({"font.size": _FONT_PT, "axes.titlesize": _FONT_PT, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(13, 9), layout=ConstrainedLayoutEngine(wspace=0.06))
        for axes, (title, names) in zip(figure.subplots(2, 2).flat, _PANELS, strict=True):
            axes.set(title=title, xlabel="step")
            axes.ticklabel_format(axis="y", useOffset=False)
            axes.xaxis.set_major_locator(MaxNLocator(integer=True))
            for (name, label), style in zip(names.items(), _STYLES, strict=False):
                if points := points_of(records, name):
                    _draw(axes, points, label, style, is_validation=name.startswith("val_"))
            if axes.lines and len(names) > 1:  # the legend is below, where it hides no curve
                axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.15), frameon=False)
        write_file(path, lambda partial: figure.savefig(partial, format="png", dpi=110))
    return True


def points_of(records: Records, name: str) -> Points:
    """Step and value of a metric in each record that has it."""
    return [(record["step"], record[name]) for record in records if name in record]


def _draw(axes: "Axes", points: Points, label: str, style: tuple[str, str], *, is_validation: bool) -> None:
    colour, dashes = style
    (first_step, first), (_, last) = points[0], points[-1]
    if is_validation and first_step == 0:
        label = f"{label}: {first:.3f} before, {last:.3f} at the end"
        axes.axhline(first, color=colour, linestyle=":", linewidth=1.5)
    marker = "o" if is_validation else None
    axes.plot(*zip(*points, strict=True), label=label, color=colour, linestyle=dashes, linewidth=2, marker=marker)
