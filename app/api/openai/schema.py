"""Bodies of the OpenAI embeddings API, with images as vLLM and infinity document them. pydantic only."""

import re
from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.api.azure.schema import Row, check_row_count, validated
from app.errors import RequestInvalid

_DATA_URI = re.compile(r"data:(image/|application/dicom|application/octet-stream)", re.IGNORECASE)


class EmbeddingsRequest(BaseModel):
    """What `POST /v1/embeddings` reads; other fields are ignored."""

    model: str | None = Field(None, description="one model is served: the name changes nothing")
    input: Any = Field(
        None, description="a string or a list of strings: texts, or images as `data:` URIs", json_schema_extra={
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]
        },
    )  # fmt: skip
    modality: Literal["text", "image"] | None = Field(
        None,
        description="infinity's field: image takes every input for one, URLs too where the server allows them; without "
        "it a `data:` URI is an image",
    )
    messages: Any = Field(
        None, description="vLLM's form: one user message with one part, of type text or image_url", json_schema_extra={
            "anyOf": [{"type": "array", "items": {"type": "object"}}, {"type": "null"}]
        },
    )  # fmt: skip
    encoding_format: Literal["float", "base64"] | None = Field(None, description="of the vectors; float unless told")
    dimensions: int | None = Field(None, description="refused unless it is the model's own")


class OpenAIEmbedding(BaseModel):
    object: Literal["embedding"]
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    prompt_tokens: int
    total_tokens: int


class EmbeddingList(BaseModel):
    """The answer of `POST /v1/embeddings`."""

    object: Literal["list"]
    data: list[OpenAIEmbedding]
    model: str
    usage: Usage


class ModelCard(BaseModel):
    id: str
    object: Literal["model"]
    created: int = Field(description="when the weights file was written, in seconds since 1970")
    owned_by: str


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[ModelCard]


def parse_embeddings(
    document: Any, *, max_rows: int, embedding_size: int
) -> tuple[list[Row], Literal["float", "base64"]]:
    """Check a body.

    Returns:
        One row an input, with either side; the encoding of the vectors.

    Raises:
        RequestInvalid: not of this schema; names what is wrong.
        TooManyRows: more inputs than `max_rows`.
    """
    if not isinstance(document, Mapping):
        raise RequestInvalid('The body is no JSON object; one with "input" is needed.')
    request = validated(EmbeddingsRequest, document)
    if request.dimensions not in (None, embedding_size):
        raise RequestInvalid(f"dimensions is not {embedding_size}: this model's vectors cannot be shortened.")
    if (request.input is None) == (request.messages is None):
        raise RequestInvalid("One of input and messages is needed.")
    if request.messages is not None:
        rows = [_of_messages(request.messages)]
    else:
        rows = _of_input(request.input, request.modality, max_rows)
    return rows, request.encoding_format or "float"


def _of_input(given: Any, modality: str | None, max_rows: int) -> list[Row]:
    inputs = given if isinstance(given, list) else [given]
    check_row_count(len(inputs), max_rows)
    if any(isinstance(one, int | list) for one in inputs):
        raise RequestInvalid("input has token ids; send the texts themselves: ids of another vocabulary mean nothing.")
    rows = []
    for number, one in enumerate(inputs):
        if not isinstance(one, str) or not one:
            raise RequestInvalid(f"input[{number}] is not a string with something in it.", row=number)
        is_image = modality == "image" or (modality is None and _DATA_URI.match(one) is not None)
        rows.append(Row(one, None) if is_image else Row(None, one))
    return rows


def _of_messages(messages: Any) -> Row:
    refusal = RequestInvalid(
        "messages must hold one message with one part, of type text or image_url; images and texts have vectors of "
        "their own."
    )
    try:
        (message,) = messages
        content: Any = message["content"]
        part: Any
        (part,) = [{"type": "text", "text": content}] if isinstance(content, str) else content
        is_text = part["type"] == "text"
        value = part["text"] if is_text else part["image_url"]["url"]
    except (TypeError, ValueError, KeyError):
        raise refusal from None
    if not isinstance(value, str) or not value:
        raise refusal
    return Row(None, value) if is_text else Row(value, None)
