"""Requests and answers of `/similarity`."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, Field

from app.api.embed_job import EmbedJob
from app.api.params import Flag, OnePictureParams, Params, ignored_params
from app.api.validation import Strings, check_strings, validated
from app.errors import RequestInvalid, TooManyRows
from app.inference.bad_rows import BadRow, at_entry
from app.inference.items import Item

Kind = Literal["images", "texts"]


class SimilarityParams(OnePictureParams):
    """How the images and the texts are read. All parameters are optional."""

    truncate: Flag = Field(True, description="Cut a text that is longer than the model's context; false refuses it")


class Side(BaseModel):
    """Images or texts."""

    images: Strings | None = Field(None, description="images as base64, `data:` URIs, or URLs that the server allows")
    texts: Strings | None = None


class SimilarityRequest(BaseModel):
    """What `/similarity` reads."""

    a: Side = Field(description="images or texts, one per row of the answer")
    b: Side = Field(description="images or texts, one per column of the answer")
    params: SimilarityParams | None = None


class SimilarityMatrix(BaseModel):
    """The answer of `/similarity`."""

    similarity: list[list[float]] = Field(description="cosines, rows of `a` by columns of `b`")
    scaling_factor: float = Field(description="the raw learned `logit_scale`; apply exp() yourself")


@dataclass(frozen=True)
class SimilarityJob:
    """Two lists of images or texts, in one job.

    Args:
        job: the entries of `a` have the rows from 0, those of `b` the rows behind them.
        a: kind of the entries of `a`.
        b: kind of the entries of `b`.
        a_count: number of entries of `a`.
    """

    job: EmbedJob
    a: Kind
    b: Kind
    a_count: int

    def at_entry(self, error: BadRow) -> BadRow:
        """An error of the job, at its entry of the request."""
        row = error.row or 0
        if row < self.a_count:
            return at_entry(error, f"a.{self.a}", row)
        return at_entry(error, f"b.{self.b}", row - self.a_count)


def parse_similarity(document: Any, *, max_rows: int) -> SimilarityJob:
    """Parse a body of `/similarity`.

    Raises:
        RequestInvalid: the body does not follow the schema; the message names the key.
        TooManyRows: more entries than `max_rows` in both lists.
    """
    request = validated(SimilarityRequest, document)
    a, a_entries = _entries(request.a, "a", max_rows)
    b, b_entries = _entries(request.b, "b", max_rows)
    count = len(a_entries) + len(b_entries)
    if count > max_rows:
        raise TooManyRows(f"a and b have {count} entries, at most {max_rows} are allowed; send fewer at once.")
    kinds = [a] * len(a_entries) + [b] * len(b_entries)
    items = [Item(row, entry) for row, entry in enumerate([*a_entries, *b_entries])]
    images = [item for item, kind in zip(items, kinds, strict=True) if kind == "images"]
    texts = [item for item, kind in zip(items, kinds, strict=True) if kind == "texts"]
    sent = request.params or SimilarityParams()
    params = Params().model_copy(update={name: getattr(sent, name) for name in SimilarityParams.model_fields})
    job = EmbedJob(count, images, texts, params, ignored_params(document, SimilarityParams.model_fields))
    return SimilarityJob(job, a, b, len(a_entries))


def _entries(side: Side, name: str, max_rows: int) -> tuple[Kind, Sequence[str]]:
    if (side.images is None) == (side.texts is None):
        raise RequestInvalid(f"{name} must have either images or texts.")
    kind: Kind = "texts" if side.images is None else "images"
    entries = side.texts if side.images is None else side.images
    check_strings(entries or [], f"{name}.{kind}", max_count=max_rows)
    return kind, entries or []
