"""Output formats of an answer: the number format of its vectors, and the file format they are written in.

Every file format keeps the row number and the kind of each vector.
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
from app.inference.pipeline import Embeddings

INT8_RANGE = 0.2
"""Range of int8: -0.2 becomes -128, and 0.2 becomes 127; components outside of it are clipped.

A component of a random unit vector of 1024 components is outside once in 10 billion times.
"""
_INT8_STEP = 2 * INT8_RANGE / 255

NPY, NPZ, ARROW = "application/x-npy", "application/x-npz", "application/vnd.apache.arrow.stream"
JSON = "application/json"


@dataclass(frozen=True)
class Vectors:
    """All vectors of one kind, in the order of the rows."""

    kind: str  # image or text
    rows: Sequence[int]  # row number of each vector; repeated for an image with several frames
    values: NDArray[Any]  # (n, D); (n, D / 8) for output_dtype binary


def quantize(vectors: Embeddings, output_dtype: str) -> NDArray[Any]:
    """Convert vectors to another number format, little-endian, like `sentence_transformers.quantize_embeddings`.

    Args:
        vectors: (n, D) float32.
        output_dtype: float32, float16, int8 or binary. int8 has the fixed range `INT8_RANGE`, so that vectors of
            different requests can be compared. binary packs the signs of eight components into one int8, the first
            component in the highest bit.

    Returns:
        (n, D); (n, D / 8) for binary.
    """
    if output_dtype == "int8":
        steps: Embeddings = (vectors + INT8_RANGE) / _INT8_STEP - 128
        return np.clip(steps, -128, 127).astype(np.int8)
    if output_dtype == "binary":
        signs: NDArray[np.int16] = np.packbits(vectors > 0, axis=-1).astype(np.int16) - np.int16(128)
        return signs.astype(np.int8)
    return vectors.astype(np.dtype(output_dtype).newbyteorder("<"))


def base64_text(vector: NDArray[Any]) -> str:
    """The bytes of a vector as base64; the byte order is that of the array."""
    return base64.b64encode(vector.tobytes()).decode()


def accepted_format(accept: str) -> str:
    """The supported media type with the highest quality in an `Accept` header.

    The answer is JSON if the header names no supported type, because clients without a suitable header expect it.
    """
    accepted = {
        (name if name in FORMATS else JSON): quality for name, quality in qualities(accept).items() if _is_known(name)
    }
    best = max(accepted, key=lambda name: accepted[name], default=JSON)
    return best if accepted.get(best, 1.0) > 0 else JSON


def _is_known(name: str) -> bool:
    return name in FORMATS or name in (JSON, "application/*", "*/*")


def _npy(parts: Sequence[Vectors], scale: float | None) -> bytes:  # noqa: ARG001, an .npy file has no place for it
    """An .npy file with one structured array: fields row, kind and embedding."""
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
    """An .npz file: image_features and image_rows, text_features and text_rows, scaling_factor, each if present."""
    arrays: dict[str, NDArray[Any]] = {}
    for part in (part for part in parts if part.rows):
        arrays |= {f"{part.kind}_features": part.values, f"{part.kind}_rows": np.array(part.rows, dtype=np.int64)}
    if scale is not None:
        arrays["scaling_factor"] = np.array(scale)
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    return stream.getvalue()


def _arrow(parts: Sequence[Vectors], scale: float | None) -> bytes:
    """An Arrow stream with one record batch per kind: columns row, kind and embedding; scaling_factor in the metadata.

    Raises:
        RequestInvalid: pyarrow is not installed on the server.
    """
    try:
        import pyarrow as pa
    except ImportError:
        raise RequestInvalid(
            "This server cannot write Arrow, because medimageinsight-server[parquet] is not installed there; "
            "accept application/x-npz instead."
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


FORMATS: dict[str, Callable[[Sequence[Vectors], float | None], bytes]] = {NPY: _npy, NPZ: _npz, ARROW: _arrow}
"""Writer per media type; takes the vectors per kind, and the scaling factor or None."""
