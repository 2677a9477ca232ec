"""The rows of the table "Formats" in `docs/images.md`, and the tests that belong to them."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.imaging.images import decode
from model.imaging.rendering import Rendering
from tests.docs.pages import page

MAX_PIXELS = 1_000_000
TESTS: dict[str, Callable[[], None]] = {}
"""The test of each row, by the row's first cell."""


def rows() -> list[str]:
    """The first cells of the table."""
    section = page("images.md").split("\n## Formats\n", 1)[1].split("\n## ", 1)[0]
    cells = [line.split("|")[1].strip() for line in section.splitlines() if line.startswith("|")]
    return cells[2:]  # without the heading and the line below it


def row(first_cell: str) -> Callable[[Callable[[], None]], Callable[[], None]]:
    """Make a function the test of the row with this first cell."""

    def register(test: Callable[[], None]) -> Callable[[], None]:
        TESTS[first_cell] = test
        return test

    return register


def shown(data: bytes, **rendering: Any) -> NDArray[np.uint8]:
    """The picture of a file as it reaches the encoder, (H, W, 3)."""
    return np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(**rendering)).convert("RGB"))


def grey(data: bytes, **rendering: Any) -> NDArray[np.uint8]:
    """The picture of a grey file, (H, W)."""
    pixels = shown(data, **rendering)
    assert (pixels == pixels[..., :1]).all()
    return pixels[..., 0]


def differ_by(shown: NDArray[np.uint8], right: NDArray[Any]) -> float:
    """The largest difference of two pictures in grey levels."""
    assert shown.shape == right.shape
    return float(np.abs(shown.astype(float) - right).max())


def stretched(values: NDArray[Any]) -> NDArray[Any]:
    """Values mapped from their smallest (0) and largest (255)."""
    low, high = float(values.min()), float(values.max())
    return np.rint((values.astype(float) - low) / (high - low) * 255)
