"""Requests and answers of `/classify` and `/heads`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from app.api.azure.schema import BadRowError, InputData, table_items
from app.api.classify.labels import labels_from_strings
from app.api.params import Flag, ImageParams, OnePictureParams, ignored_params, parse_strings
from app.api.validation import validated
from app.errors import RequestInvalid
from app.inference.bad_rows import BadRow, BadRows
from app.inference.items import Item

_TEXTS = {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}, "minItems": 1}]}
_PROMPTS = {"type": "object", "properties": {"present": _TEXTS, "absent": _TEXTS}, "required": ["present"]}
_LABELS_SCHEMA: dict[str, Any] = {
    "anyOf": [
        {"type": "array", "items": {"type": "string"}, "minItems": 1},
        {"type": "object", "additionalProperties": {"anyOf": [*_TEXTS["anyOf"], _PROMPTS]}, "minProperties": 1},
    ]
}
MAX_TEMPLATE_CHARS = 1000  # it is copied for each text
REPEATED = ("head", "labels")
"""Parameters that a query or a form may have several times."""


def _names(value: Any) -> Any:
    """The name of a head, or a list of names, unchanged. pydantic's own messages name the types of the alternatives."""
    names = value if isinstance(value, list) else [value]
    if value is not None and not (names and all(isinstance(name, str) for name in names)):
        raise RequestInvalid("params.head must be the name of a head, or a list of names, at least one.")
    return value


def _without_image_defaults(schema: dict[str, Any]) -> None:
    """Generated clients send the defaults of a schema, and a parameter that is sent replaces that of a head."""
    for name in ImageParams.model_fields:
        schema["properties"][name].pop("default")


class ClassifyParams(OnePictureParams):
    """What the images are classified by, and how to answer. All parameters are optional.

    The parameters of the images have no default here: a head has its own.
    """

    model_config = ConfigDict(json_schema_extra=_without_image_defaults)

    head: Annotated[str | Annotated[list[str], Field(min_length=1)] | None, BeforeValidator(_names)] = Field(
        None, description="Name of a loaded head, or a list of names; null takes the only head that is loaded"
    )
    labels: Any = Field(
        None,
        description="Labels, instead of a head: a list of texts, or an object. The object maps each label to a text, "
        'a list of texts, or `{"present": …, "absent": …}`',
        json_schema_extra=_LABELS_SCHEMA,
    )
    template: str = Field(
        "{}",
        max_length=MAX_TEMPLATE_CHARS,
        description="Text that is compared with the images; its one `{}` stands for a text of `labels`",
    )
    top_k: Annotated[int, Field(strict=True)] | None = Field(
        None, ge=1, description="Number of labels per row, the best first; null gives all"
    )
    multi_label: Flag | None = Field(
        None,
        description="true scores each label by itself, false lets the scores add up to 1; null does what the head was "
        "made for",
    )
    on_error: Literal["request", "row"] = Field("request", description="What a bad row does, as in `/embed`")
    truncate: Flag = Field(
        True, description="Cut a label text that is longer than the model's context; false refuses it"
    )


class ClassifyRequest(BaseModel):
    """A request in the Azure endpoint's schema, with the column `image`."""

    input_data: InputData
    params: ClassifyParams | None = None


class LabelScore(BaseModel):
    """A label and its score, or the number that a head predicts."""

    label: str
    score: float | None = Field(None, description="from 0 to 1")
    call: Literal["positive", "possible", "negative"] | None = Field(
        None, description="what the score means at the head's operating points; only if it has some"
    )
    value: float | None = Field(None, description="the predicted number, instead of a score")


class FailedRow(BaseModel):
    """Answer for a bad row, with `params.on_error: "row"`."""

    error: BadRowError


Classified = list[list[LabelScore] | dict[str, list[LabelScore]] | FailedRow]
"""Per row: the labels of the head, highest score first; or, for a list of heads, these per head."""


class HeadCard(BaseModel):
    """A head that is loaded."""

    name: str
    default: bool = Field(description="whether requests that name neither a head nor labels get it")
    kind: str
    labels: list[str] = Field(description="the labels; of a regression, the name of the predicted number")
    activation: str = Field(description="softmax: one label per image; sigmoid: any number; identity: a regression")
    multi_label: bool = Field(description="whether `multi_label: true` can be asked for")
    thresholds: dict[str, Any] = Field(description="operating points per label; empty without them")
    model: dict[str, Any] = Field(description="name and weights_sha256 of the model that the head was made with")
    preprocessing: dict[str, Any] = Field(description="parameters that the images get unless the request sends them")


class HeadList(BaseModel):
    """The answer of `GET /heads`."""

    heads: list[HeadCard]


@dataclass(frozen=True)
class ClassifyJob:
    """Images to classify.

    Args:
        row_count: number of rows, each of which has one image.
        images: in the order of their rows, without those of `row_errors`.
        params: what they are classified by.
        ignored_params: names of sent parameters that the route does not know.
        row_errors: errors of rows of the wrong shape, if bad rows are answered.
    """

    row_count: int
    images: Sequence[Item]
    params: ClassifyParams
    ignored_params: Sequence[str] = ()
    row_errors: Mapping[int, BadRow] = field(default_factory=dict)

    @classmethod
    def from_files(cls, images: Sequence[bytes], sent: Sequence[tuple[str, str]]) -> "ClassifyJob":
        """A job from image files, and the names and values of the parameters sent.

        Raises:
            RequestInvalid: a parameter is wrong.
        """
        params, ignored = parse_strings({name: value for name, value in sent if name not in REPEATED}, ClassifyParams)
        several = {name: [value for given, value in sent if given == name] for name in REPEATED}
        asked: dict[str, Any] = {}
        if heads := several["head"]:
            asked["head"] = heads if len(heads) > 1 else heads[0]
        if several["labels"]:
            asked["labels"] = labels_from_strings(several["labels"])
        items = [Item(row, image) for row, image in enumerate(images)]
        return cls(len(items), items, params.model_copy(update=asked), ignored)

    @property
    def bad_rows(self) -> BadRows:
        """A new collection of the bad rows, with the errors known so far."""
        return BadRows(answered=self.params.on_error == "row", known=self.row_errors)


def parse_classify(document: Any, *, max_rows: int) -> ClassifyJob:
    """Parse a JSON document of the Azure schema with the column `image`.

    Raises:
        RequestInvalid: the document does not follow the schema; the message names the field or the first bad row.
        TooManyRows: more rows than `max_rows`.
    """
    request = validated(ClassifyRequest, document)
    params = request.params or ClassifyParams()
    bad_rows = BadRows(answered=params.on_error == "row")
    images, _ = table_items(request.input_data, "input_data", max_rows=max_rows, columns=["image"], bad_rows=bad_rows)
    ignored = ignored_params(document, ClassifyParams.model_fields)
    return ClassifyJob(len(request.input_data.data), images, params, ignored, bad_rows.errors)
