"""Examples of requests and answers, which work with every model."""

from collections.abc import Mapping
from typing import Any

# A greyscale PNG of 16 x 16 pixels, so that "Try it out" on the documentation page sends a valid request.
EXAMPLE_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAABAAAAAQCAAAAAA6mKC9AAAAlklEQVR42mWPIQ7GIAyFOcQSdMUSBAKJQCIqZtE1aNQUCsUJkFwB"
    "zQF2A66xS/xbpv70JU1evqTte2J7JEFprUC+XjwDxnlE7wx8YLcYKEYKaPcXgD0o5VJyosPCJqRBOmvrvdWT0EgBLqTax5yj1xQc"
    "COUpt3GtdY2WySuhMZY+132v2UtEzQFbYUfZWxaMR+fl/uv/AGyiV11rOBzfAAAAAElFTkSuQmCC"
)
EXAMPLE_TEXT = "x-ray chest anteroposterior Cardiomegaly"
EXAMPLE_LABELS = [EXAMPLE_TEXT, "x-ray chest anteroposterior No Finding"]
EXAMPLE_VECTOR = [0.0312, -0.0147, 0.0089]
"""The first numbers of a vector; an answer has D of them."""
EXAMPLE_SCALE = 4.51336
EXAMPLE_SCORES = [{"label": label, "score": score} for label, score in zip(EXAMPLE_LABELS, (0.83, 0.17), strict=True)]
PARAMS = {"get_scaling_factor": True}


def table(columns: list[str], *rows: list[str], params: Mapping[str, Any] = PARAMS) -> dict[str, Any]:
    """A body in the Azure endpoint's schema."""
    data = {"columns": columns, "index": list(range(len(rows))), "data": list(rows)}
    return {"input_data": data, "params": dict(params)}


def named(**examples: Any) -> dict[str, Any]:
    """The key `examples` of a media type, from the name of each example to its value."""
    return {"examples": {name: {"value": value} for name, value in examples.items()}}
