"""The forms of an answer: what a vector's numbers are, and how they are written.

Whatever the form, each vector keeps the number of its row and its kind.
"""

import base64
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.api.content_negotiation import qualities
from app.errors import RequestInvalid
from app.inference.pipeline import Embedding

INT8_RANGE = 0.2
"""Of a unit vector's component in int8: -0.2 becomes -128 and 0.2 becomes 127; a component of a random unit vector of
1024 is beyond it once in 10 billion times."""
_INT8_STEP = 2 * INT8_RANGE / 255

NPY, NPZ, ARROW = "application/x-npy", "application/x-npz", "application/vnd.apache.arrow.stream"
JSON = "application/json"


@dataclass(frozen=True)
class Vectors:
    """All vectors of a kind, in the rows' order."""

    kind: str  # image or text
    rows: Sequence[int]  # the row of each vector; one that has several frames stands there as often
    values: NDArray[Any]  # (n, D), or (n, D / 8) of packed bits


def quantized(vectors: Embedding, output_dtype: str) -> NDArray[Any]:
    """Vectors (n, D) in another type, as `sentence_transformers.quantize_embeddings` makes it.

    Args:
        vectors: float32.
        output_dtype: float32, float16, int8 (in the fixed range `INT8_RANGE`, so that vectors of different requests
            compare), or binary: the signs, eight in an int8, the first in its highest bit.
    """
    if output_dtype == "int8":
        steps: Embedding = (vectors + INT8_RANGE) / _INT8_STEP - 128
        return np.clip(steps, -128, 127).astype(np.int8)
    if output_dtype == "binary":
        signs: NDArray[np.int16] = np.packbits(vectors > 0, axis=-1).astype(np.int16) - np.int16(128)
        return signs.astype(np.int8)
    return vectors.astype(np.dtype(output_dtype).newbyteorder("<"))


def base64_text(vector: NDArray[Any]) -> str:
    """A vector's memory, little-endian, as base64."""
    return base64.b64encode(vector.tobytes()).decode()


def accepted_format(accept: str) -> str:
    """The media type to answer with: of those in an `Accept` header that are written here the one liked most.

    A header that names none of them gets JSON, as it always did.
    """
    liked = {(name if name in FORMS else JSON): quality for name, quality in qualities(accept).items() if _known(name)}
    best = max(liked, key=lambda name: liked[name], default=JSON)
    return best if liked.get(best, 1.0) > 0 else JSON


def _known(name: str) -> bool:
    return name in FORMS or name in (JSON, "application/*", "*/*")


def _npy(parts: Sequence[Vectors], scale: float | None) -> bytes:  # noqa: ARG001, a plain array has no room for it
    """One structured array with the fields row, kind and embedding; `numpy.load` reads it."""
    values = np.concatenate([part.values for part in parts])
    table = np.empty(
        len(values), dtype=[("row", "<i8"), ("kind", "<U5"), ("embedding", values.dtype, (values.shape[1],))]
    )
    table["row"] = [row for part in parts for row in part.rows]
    table["kind"] = [part.kind for part in parts for _ in part.rows]
    table["embedding"] = values
    stream = io.BytesIO()
    np.save(stream, table, allow_pickle=False)
    return stream.getvalue()


def _npz(parts: Sequence[Vectors], scale: float | None) -> bytes:
    """The arrays image_features, image_rows, text_features, text_rows and scaling_factor, those that there are."""
    arrays: dict[str, NDArray[Any]] = {}
    for part in parts:
        arrays |= {f"{part.kind}_features": part.values, f"{part.kind}_rows": np.array(part.rows, dtype=np.int64)}
    if scale is not None:
        arrays["scaling_factor"] = np.array(scale)
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def _arrow(parts: Sequence[Vectors], scale: float | None) -> bytes:
    """One record batch a kind with the columns row, kind and embedding; scaling_factor stands in the metadata."""
    try:
        import pyarrow as pa
    except ImportError:
        raise RequestInvalid(
            "Arrow needs medimageinsight-server[parquet] on the server; accept application/x-npz instead."
        ) from None

    width, dtype = parts[0].values.shape[1], pa.from_numpy_dtype(parts[0].values.dtype)
    metadata = {} if scale is None else {"scaling_factor": repr(scale)}
    schema = pa.schema(
        [("row", pa.int64()), ("kind", pa.string()), ("embedding", pa.list_(dtype, width))], metadata=metadata
    )
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, schema) as writer:
        for part in parts:
            embedding = pa.FixedSizeListArray.from_arrays(pa.array(part.values.ravel()), width)
            rows, kinds = pa.array(part.rows, pa.int64()), pa.array([part.kind] * len(part.rows))
            writer.write_batch(pa.record_batch([rows, kinds, embedding], schema=schema))
    return bytes(sink.getvalue())


FORMS: dict[str, Callable[[Sequence[Vectors], float | None], bytes]] = {NPY: _npy, NPZ: _npz, ARROW: _arrow}
