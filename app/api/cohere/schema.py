"""Schema of Cohere's `/v2/embed`, which MedImageInsight Premium has too (Microsoft's reference of June 2026)."""

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, Field, WithJsonSchema

from app.api.embed_job import EmbedJob
from app.api.output_formats import base64_text, quantize
from app.api.params import Params, ignored_params
from app.api.validation import Strings, check_strings, validated
from app.errors import RequestInvalid, TooManyRows
from app.inference.items import Item
from app.inference.pipeline import Embeddings

EmbeddingType = Literal["float", "base64", "int8", "uint8", "binary", "ubinary"]
_SIGNED = {"uint8": "int8", "ubinary": "binary"}
_KEYS = ("texts", "images", "inputs")

_Input = Annotated[Any, WithJsonSchema({"type": "object", "required": ["content"]})]


class EmbedByTypeRequest(BaseModel):
    """What the route reads: exactly one of `texts`, `images` and `inputs`. Other fields are ignored."""

    model: str | None = Field(None, description="name of the model; ignored, because one model is served")
    texts: Strings | None = None
    images: Strings | None = Field(None, description="images as `data:` URIs, or URLs that the server allows")
    inputs: Annotated[list[_Input], Field(json_schema_extra={"minItems": 1})] | None = Field(
        None, description='`{"content": [part]}` per vector, with one part of type text or image_url'
    )
    embedding_types: Annotated[list[EmbeddingType], Field(min_length=1, max_length=6)] | None = Field(
        None, description="number formats of the vectors; default `float`"
    )
    input_type: Any = Field(None, description="purpose of the vectors; ignored, because the model has no such inputs")
    output_dimension: int | None = Field(None, description="number of dimensions; refused unless it is the model's own")
    truncate: Literal["END", "NONE", "START"] | None = Field(
        None, description="END (default) cuts a long text, NONE refuses it; START is refused"
    )
    max_tokens: int | None = Field(None, description="refused below the model's context length")


class EmbeddingsByType(BaseModel):
    """The vectors in every number format that was asked for, each in the order of the items."""

    float_: list[list[float]] | None = Field(None, alias="float", description="unit L2 norm")
    base64: list[str] | None = Field(None, description="the bytes of float32, little-endian")
    int8: list[list[int]] | None = Field(None, description="256 steps from -0.2 to 0.2")
    uint8: list[list[int]] | None = Field(None, description="int8 + 128")
    binary: list[list[int]] | None = Field(None, description="ubinary - 128")
    ubinary: list[list[int]] | None = Field(None, description="eight signs per number, the first in the highest bit")


class EmbedApiVersion(BaseModel):
    version: Literal["2"]


class EmbedTokens(BaseModel):
    input_tokens: int = Field(description="tokens of all texts")


class EmbedMeta(BaseModel):
    api_version: EmbedApiVersion
    tokens: EmbedTokens


class EmbedByTypeResponse(BaseModel):
    """The answer."""

    id: str = Field(description="id of the request, as in the header x-request-id")
    embeddings: EmbeddingsByType
    texts: list[str] = Field(description="the texts that were sent")
    images: list[Any] = Field(description="always empty: the server does not describe the images", max_length=0)
    meta: EmbedMeta
    response_type: Literal["embeddings_by_type"]


def parse_embed(
    document: Any, *, max_rows: int, embedding_size: int, context_length: int
) -> tuple[EmbedJob, Sequence[str]]:
    """Parse a body: one row per text, image or input.

    Args:
        document: parsed JSON body.
        max_rows: largest number of rows that is accepted.
        embedding_size: D, the only `output_dimension` that is accepted.
        context_length: tokens to which the model cuts a text.

    Returns:
        The job, and the embedding types, each once.

    Raises:
        RequestInvalid: the body does not follow the schema; the message says what is wrong.
        TooManyRows: more items than `max_rows`.
    """
    request = validated(EmbedByTypeRequest, document)
    if sum(getattr(request, name) is not None for name in _KEYS) != 1:
        raise RequestInvalid("The body must have exactly one of texts, images and inputs; each needs its own request.")
    if request.output_dimension not in (None, embedding_size):
        raise RequestInvalid(
            f"output_dimension must be {embedding_size} or absent: this model's vectors cannot be shortened."
        )
    if request.truncate == "START":
        raise RequestInvalid('truncate must be "END" or "NONE": this model\'s tokenizer cuts only the end of a text.')
    if request.max_tokens is not None and request.max_tokens < context_length:
        raise RequestInvalid(f"max_tokens must be at least {context_length} or absent: texts are cut at this length.")
    images, texts = _items(request, max_rows)
    ignored = ignored_params(document, (), read_beside=EmbedByTypeRequest.model_fields)
    job = EmbedJob(len(images) + len(texts), images, texts, Params(truncate=request.truncate != "NONE"), ignored)
    return job, list(dict.fromkeys(request.embedding_types or ["float"]))


def _items(request: EmbedByTypeRequest, max_rows: int) -> tuple[list[Item], list[Item]]:
    """The images and the texts of a request."""
    if request.inputs is not None:
        return _input_items(request.inputs, max_rows)
    name, values = ("texts", request.texts) if request.images is None else ("images", request.images)
    check_strings(values or [], name, max_count=max_rows)
    items = [Item(row, value) for row, value in enumerate(values or [])]
    return (items, []) if name == "images" else ([], items)


def _input_items(inputs: Sequence[Any], max_rows: int) -> tuple[list[Item], list[Item]]:
    if not inputs:
        raise RequestInvalid("inputs is empty; send at least one entry.")
    if len(inputs) > max_rows:
        raise TooManyRows(f"inputs has {len(inputs)} entries, at most {max_rows} are allowed; send fewer at once.")
    images: list[Item] = []
    texts: list[Item] = []
    for row, given in enumerate(inputs):
        is_text, value = _part(row, given)
        (texts if is_text else images).append(Item(row, value))
    return images, texts


def _part(row: int, given: Any) -> tuple[bool, str]:
    """Whether the one part of an input is a text, and its value."""
    refusal = RequestInvalid(
        f"inputs[{row}] must have a content of one part, of type text or image_url, because a vector has one source.",
        row=row,
    )
    try:
        (part,) = given["content"]
        is_text = part["type"] == "text"
        value = part["text"] if is_text else part["image_url"]["url"]
    except (TypeError, ValueError, KeyError):
        raise refusal from None
    if not isinstance(value, str) or not value:
        raise refusal
    return is_text, value


def vectors_as(embedding_type: str, features: Embeddings) -> Any:
    """Vectors in one of Cohere's number formats, as orjson writes them.

    The signed formats are those of `output_formats.quantize`; the unsigned ones are larger by 128.

    Args:
        embedding_type: one of `EmbeddingType`.
        features: (n, D) float32, unit norm.

    Returns:
        (n, D); (n, D / 8) for binary and ubinary; n strings for base64.
    """
    if embedding_type == "base64":
        return [base64_text(vector) for vector in quantize(features, "float32")]
    if embedding_type == "float":
        return np.ascontiguousarray(features)
    signed = np.ascontiguousarray(quantize(features, _SIGNED.get(embedding_type, embedding_type)))
    return (signed.astype(np.int16) + 128).astype(np.uint8) if embedding_type in _SIGNED else signed
