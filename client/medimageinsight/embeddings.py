"""Answers of `/embed`, and the array that a call returns."""

import io
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from medimageinsight.errors import Kind
from medimageinsight.requests.item_call import OnError, Route

OutputDtype = Literal["float32", "float16", "int8", "binary"]
Vectors = NDArray[Any]


def embedding_route(kind: Kind) -> Route[Vectors]:
    """The route that answers with one embedding per row."""
    return Route("/embed", "application/x-npz", lambda answer: np.load(io.BytesIO(answer))[f"{kind}_features"])


def check_has_nan(output_dtype: OutputDtype, errors: OnError) -> None:
    """Refuse errors="skip" with a number format that has no NaN for a failed item.

    Raises:
        ValueError: the format is "int8" or "binary".
    """
    if errors == "skip" and output_dtype in ("int8", "binary"):
        raise ValueError('errors="skip" needs an output_dtype with NaN; use float32 or float16, or errors="raise"')


def stacked(vectors: Sequence[Vectors | None], embedding_size: int, output_dtype: OutputDtype) -> Vectors:
    """One row per embedding; NaN where an item has none.

    Args:
        vectors: the embeddings of a call, None for a failed item.
        embedding_size: numbers per embedding, for a call without any embedding.
        output_dtype: number format of the embeddings.
    """
    found = {item: vector for item, vector in enumerate(vectors) if vector is not None}
    if len(found) == len(vectors) > 0:
        return np.stack(list(found.values()))
    result = np.full((len(vectors), embedding_size), np.nan, np.float16 if output_dtype == "float16" else np.float32)
    for item, vector in found.items():
        result[item] = vector
    return result
