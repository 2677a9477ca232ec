"""What the figures of the report share: sizes, colours, and figures as data URIs."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from model.optional_dependencies import extra

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH_INCHES = 4.6
CSS_PIXELS_PER_INCH = 96
FONT_PT = 12.0  # at full size; on a narrow screen the page shrinks a figure to 3/4, and the text to 9 pt
BLUE, GREY = "#0072b2", "#6b7684"
# The palette of Okabe and Ito (2008), without yellow and black; readers with colour blindness tell its colours apart.
COLOURS = (BLUE, "#d55e00", "#009e73", "#b0568b", "#e69f00", "#56b4e9")
DASHES = ("", "7 3", "2 2")  # of lines, when the colours are used up: SVG's stroke-dasharray
_STYLE = {
    "font.size": FONT_PT,
    "axes.titlesize": FONT_PT,
    "axes.labelsize": FONT_PT,
    "xtick.labelsize": FONT_PT,
    "ytick.labelsize": FONT_PT,
    "font.family": "DejaVu Sans",
    "axes.edgecolor": GREY,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "svg.hashsalt": "report",  # equal pictures are equal bytes
}


@dataclass(frozen=True)
class Key:
    """An entry of a figure's legend, which stands beside the figure as text of the page, so that no label is cut.

    Attributes:
        label: the label.
        colour: its colour, such as #0072b2.
        dash: stroke-dasharray of its line; default: a whole line.
        value: text behind the label, such as an area; default: none.
        number: number that stands in the figure; default 0: none.
    """

    label: str
    colour: str
    dash: str = ""
    value: str = ""
    number: int = 0


@dataclass(frozen=True)
class Picture:
    """A figure in the page.

    Attributes:
        uri: data URI of the picture.
        width: width at full size, in CSS pixels.
        title: heading of the figure.
        alt: one sentence that says what the figure shows, with its most important number.
        legend: entries of the legend; default: none.
    """

    uri: str
    width: int
    title: str
    alt: str
    legend: Sequence[Key] = field(default=())


def empty_figure(height: float = WIDTH_INCHES) -> "tuple[Figure, Axes]":
    """A figure with a grid, of the usual width and this height in inches."""
    matplotlib = extra("matplotlib")
    with matplotlib.rc_context(_STYLE):
        figure: Figure = extra("matplotlib.figure").Figure(figsize=(WIDTH_INCHES, height), layout="constrained")
        axes = figure.subplots()
        axes.grid(visible=True, color="#d9dee5", linewidth=0.6)
        axes.set_axisbelow(True)
    return figure, axes


def colours_of(count: int) -> list[str]:
    """A colour per entry of a legend; they repeat when there are more entries than colours."""
    return [COLOURS[number % len(COLOURS)] for number in range(count)]


def dashes_of(count: int) -> list[str]:
    """A dash per line, so that the lines of one colour differ."""
    return [DASHES[number // len(COLOURS) % len(DASHES)] for number in range(count)]


def svg_uri(figure: "Figure") -> str:
    """The figure as a data URI, for few lines."""
    return _data_uri(figure, "svg", "image/svg+xml", metadata={"Date": None})


def png_uri(figure: "Figure") -> str:
    """The figure as a data URI, for many points."""
    return _data_uri(figure, "png", "image/png", dpi=2 * CSS_PIXELS_PER_INCH)


def width_pixels() -> int:
    """Width of a figure at full size, in CSS pixels."""
    return round(WIDTH_INCHES * CSS_PIXELS_PER_INCH)


def _data_uri(figure: "Figure", kind: str, mime: str, **options: Any) -> str:
    stream = io.BytesIO()
    with extra("matplotlib").rc_context(_STYLE):
        figure.savefig(stream, format=kind, **options)
    return f"data:{mime};base64,{base64.b64encode(stream.getvalue()).decode()}"
