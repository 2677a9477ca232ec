"""Schema of lion-ai's MedImageInsights wrapper: `/predict` and `/encode`.

The wrapper has no standardisation, the endpoint's small JPEG, so these routes have none either.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson
from pydantic import BaseModel, Field

from app.api.embed_job import EmbedJob
from app.api.execution import JobResult
from app.api.json_parts import as_json, json_bytes
from app.api.params import Flag, Params, ignored_params
from app.api.validation import Strings, check_strings, validated
from app.errors import RequestInvalid, TooManyRows
from app.inference.items import Item
from app.settings import Settings
from model.evaluation.statistics.metrics import Floats
from model.evaluation.zero_shot import zero_shot_scores

PARAMS = Params(image_standardization_jpeg_compression_ratio=None)
BYTES_PER_SCORE = 30  # of one score in the answer, beside its label


class PredictRequest(BaseModel):
    """What `/predict` reads; other fields are ignored."""

    images: Strings = Field(description="images as base64, with or without a `data:` prefix")
    labels: Strings = Field(description="texts that the images are compared with, each once")
    multilabel: Flag = Field(False, description="true takes a sigmoid per label, false a softmax over the labels")


class PredictResponse(BaseModel):
    """The answer of `/predict`."""

    predictions: list[dict[str, float]] = Field(description="label to probability, highest first, per image")


class EncodeRequest(BaseModel):
    """What `/encode` reads; other fields are ignored."""

    images: Strings | None = Field(None, description="images as base64, with or without a `data:` prefix")
    texts: Strings | None = None


class EncodeResponse(BaseModel):
    """The answer of `/encode`."""

    image_embeddings: list[list[float]] | None = Field(description="one vector per image, unit L2 norm")
    text_embeddings: list[list[float]] | None = Field(description="one vector per text, unit L2 norm")


def parse_predict(document: Any, settings: Settings) -> tuple[EmbedJob, bool]:
    """Parse a body of `/predict`: the images and the labels are the images and the texts of one job.

    Labels count as rows up to MAX_ROWS, because a request may have more labels than the queue has places.

    Returns:
        The job, and whether each label has a probability of its own.

    Raises:
        RequestInvalid: the body does not follow the schema, or a label is doubled; the message names the first one.
        TooManyRows: more images than MAX_ROWS, more labels than MAX_LABELS, or a larger answer than MAX_BODY_BYTES.
    """
    request = validated(PredictRequest, document)
    check_strings(request.images, "images", max_count=settings.max_rows)
    check_strings(request.labels, "labels", max_count=settings.max_labels)
    if (first := _first_doubled(request.labels)) is not None:
        raise RequestInvalid(f"labels[{first}] repeats an earlier label; send each label once.", row=first)
    size = len(request.images) * sum(json_bytes(label) + BYTES_PER_SCORE for label in request.labels)
    if size > settings.max_body_bytes:
        raise TooManyRows(
            f"The answer would have about {size:,} bytes, because it has all labels for each image; send fewer images "
            "or shorter labels at once."
        )
    row_count = max(len(request.images), min(len(request.labels), settings.max_rows))
    ignored = ignored_params(document, ())
    return EmbedJob(row_count, _items(request.images), _items(request.labels), PARAMS, ignored), request.multilabel


def parse_encode(document: Any, *, max_rows: int) -> EmbedJob:
    """Parse a body of `/encode`; the first image and the first text make up row 0.

    Raises:
        RequestInvalid: the body does not follow the schema; the message names the key.
        TooManyRows: more images or texts than `max_rows`.
    """
    request = validated(EncodeRequest, document)
    for name, values in (("images", request.images), ("texts", request.texts)):
        if values is not None:
            check_strings(values, name, max_count=max_rows)
    images, texts = _items(request.images or []), _items(request.texts or [])
    return EmbedJob(max(len(images), len(texts)), images, texts, PARAMS, ignored_params(document, ()))


def predictions(result: JobResult, logit_scale: float, *, multilabel: bool) -> list[orjson.Fragment]:
    """The scores of each image by label, highest first, as the wrapper computes them, in JSON.

    Args:
        result: features of the images and of the labels.
        logit_scale: the model's log temperature.
        multilabel: True takes the sigmoid of each logit exp(logit_scale) · cosine, False the softmax over all labels.
    """
    labels = [str(item.payload) for item in result.job.texts]
    no_text = np.zeros_like(result.text_features) if multilabel else None  # the sigmoid of the logit itself
    scores = zero_shot_scores(
        result.image_features, result.text_features, no_text, logit_scale, one_label=not multilabel
    )
    return [as_json(_ordered(labels, row)) for row in scores]


def _ordered(labels: Sequence[str], scores: Floats) -> dict[str, float]:
    order = np.argsort(-scores, kind="stable")
    return dict(zip([labels[number] for number in order.tolist()], scores[order].tolist(), strict=True))


def _items(values: Sequence[str]) -> list[Item]:
    return [Item(row, value) for row, value in enumerate(values)]


def _first_doubled(labels: Sequence[str]) -> int | None:
    """Number of the first label that an earlier one equals."""
    seen: set[str] = set()
    for number, label in enumerate(labels):
        if label in seen:
            return number
        seen.add(label)
    return None
