"""Schema of the OpenAI embeddings API, with images as vLLM and infinity document them."""

import re
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.api.embed_job import EmbedJob, check_row_count
from app.api.params import Params, ignored_params
from app.api.validation import validated
from app.errors import RequestInvalid
from app.inference.items import Item

_DATA_URI = re.compile(r"data:(image/|application/dicom|application/octet-stream)", re.IGNORECASE)


class EmbeddingsRequest(BaseModel):
    """What `POST /v1/embeddings` reads; other fields are ignored."""

    model: str | None = Field(None, description="name of the model; ignored, because one model is served")
    input: Any = Field(
        None, description="one string or a list of strings: texts, or images as `data:` URIs", json_schema_extra={
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}, {"type": "null"}]
        },
    )  # fmt: skip
    modality: Literal["text", "image"] | None = Field(
        None,
        description="kind of all inputs (infinity's field); `image` reads every input as an image, URLs too where the "
        "server allows them; without it a `data:` URI is an image and everything else a text",
    )
    messages: Any = Field(
        None, description="vLLM's form: one user message with one part of type text or image_url", json_schema_extra={
            "anyOf": [{"type": "array", "items": {"type": "object"}}, {"type": "null"}]
        },
    )  # fmt: skip
    encoding_format: Literal["float", "base64"] | None = Field(
        None, description="encoding of the vectors; default float"
    )
    dimensions: int | None = Field(None, description="number of dimensions; refused unless it is the model's own")


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
    created: int = Field(description="time at which the weights file was written, in seconds since 1970")
    owned_by: str


class ModelList(BaseModel):
    object: Literal["list"]
    data: list[ModelCard]


def parse_embeddings(document: Any, *, max_rows: int, embedding_size: int) -> EmbedJob:
    """Parse a body: one row per input, with either an image or a text.

    Raises:
        RequestInvalid: the body does not follow the schema; the message says what is wrong.
        TooManyRows: more inputs than `max_rows`.
    """
    request = validated(EmbeddingsRequest, document)
    if request.dimensions not in (None, embedding_size):
        raise RequestInvalid(
            f"dimensions must be {embedding_size} or absent: this model's vectors cannot be shortened."
        )
    if (request.input is None) == (request.messages is None):
        raise RequestInvalid("The body must have either input or messages.")
    if request.messages is not None:
        inputs = [_message_input(request.messages)]
    else:
        inputs = _list_inputs(request.input, request.modality, max_rows)
    items = [(is_image, Item(number, value)) for number, (is_image, value) in enumerate(inputs)]
    return EmbedJob(
        len(items),
        [item for is_image, item in items if is_image],
        [item for is_image, item in items if not is_image],
        Params(encoding_format=request.encoding_format or "float"),
        ignored_params(document, (), read_beside=EmbeddingsRequest.model_fields),
    )


def _list_inputs(given: Any, modality: str | None, max_rows: int) -> list[tuple[bool, str]]:
    """For each input: whether it is an image, and its value."""
    inputs = given if isinstance(given, list) else [given]
    check_row_count(len(inputs), max_rows)
    if any(isinstance(one, int | list) for one in inputs):
        raise RequestInvalid(
            "input holds token ids; send the texts instead, because this model has another vocabulary."
        )
    parsed = []
    for number, one in enumerate(inputs):
        if not isinstance(one, str) or not one:
            raise RequestInvalid(f"input[{number}] must be a string that is not empty.", row=number)
        is_image = modality == "image" or (modality is None and _DATA_URI.match(one) is not None)
        parsed.append((is_image, one))
    return parsed


def _message_input(messages: Any) -> tuple[bool, str]:
    """Whether the one part of the one message is an image, and its value."""
    refusal = RequestInvalid(
        "messages must hold one message with one part of type text or image_url, because each input has its own vector."
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
    return not is_text, value
