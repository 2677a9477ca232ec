"""Request bodies, with examples.

Only content types that every client generator can send are listed. The descriptions name the others.
"""

from collections.abc import Mapping
from typing import Any

from app.api.documentation.examples import EXAMPLE_IMAGE, EXAMPLE_LABELS, EXAMPLE_TEXT, PARAMS, named, table

REF_TEMPLATE = "#/components/schemas/{model}"
BINARY: dict[str, Any] = {"schema": {"type": "string", "format": "binary"}}
_FILES = {"type": "array", "items": BINARY["schema"]}
_TEXTS = {
    "type": "array",
    "items": {"type": "string"},
    "description": "text; repeat the field for more texts; the first text belongs to the first file",
}
_IMAGE_TYPES = (
    "A table; or one image file, also with its own content type such as `image/png` or `application/dicom`; "
    "or a form with image files."
)


def reference(model: str) -> dict[str, str]:
    """A JSON reference to the schema of a model."""
    return {"$ref": REF_TEMPLATE.format(model=model)}


def body(content: Mapping[str, Any], description: str = "") -> dict[str, Any]:
    """A required request body.

    Args:
        content: schema and examples per content type.
        description: one sentence; default: none.
    """
    return ({"description": description} if description else {}) | {"required": True, "content": dict(content)}


def json_body(*models: str, description: str = "", **examples: Any) -> dict[str, Any]:
    """A JSON body.

    Args:
        models: names of the pydantic models of which the body is one.
        description: one sentence; default: none.
        examples: bodies that the route answers with 200, by name.
    """
    return body({"application/json": _json(*models, **examples)}, description)


def table_body(*models: str, **examples: Any) -> dict[str, Any]:
    """A JSON body, or a form with image files and texts."""
    form = {"schema": {"type": "object", "properties": {"files": _FILES, "text": _TEXTS}}}
    content = {"application/json": _json(*models, **examples), "multipart/form-data": form}
    return body(content, "A table; or a form with image files and texts.")


def image_body(model: str, params: Mapping[str, Any], *, several: bool = True) -> dict[str, Any]:
    """Images as JSON, as one file, or as a form.

    Args:
        model: name of the pydantic model of a JSON body.
        params: parameters of the example.
        several: whether a request may have several images.
    """
    fields = {"files": _FILES} if several else {"file": BINARY["schema"]}
    content = {
        "application/json": _json(model, image=table(["image"], [EXAMPLE_IMAGE], params=params)),
        "application/octet-stream": BINARY,
        "multipart/form-data": {"schema": {"type": "object", "properties": fields}},
    }
    return body(content, _IMAGE_TYPES if several else _IMAGE_TYPES.replace("image files", "one image file"))


def _json(*models: str, **examples: Any) -> dict[str, Any]:
    references = [reference(model) for model in models]
    return {"schema": references[0] if len(references) == 1 else {"anyOf": references}} | named(**examples)


_IMAGE_AND_TEXT = table(["image", "text"], [EXAMPLE_IMAGE, EXAMPLE_TEXT])
_TEXT_TABLE = table(["text"], *([label] for label in EXAMPLE_LABELS))
TABLE_BODY = table_body("EmbedRequest", image_and_text=_IMAGE_AND_TEXT, texts=_TEXT_TABLE)
INVOCATION_BODY = table_body(
    "EmbedRequest",
    "SplitRequest",
    "RecordsRequest",
    image_and_text=_IMAGE_AND_TEXT,
    mlflow={"dataframe_split": {"columns": ["text"], "data": [[EXAMPLE_TEXT]]}},
)
IMAGE_BODY = image_body("EmbedRequest", PARAMS)
TEXT_BODY = json_body(
    "EmbedRequest",
    "TextsRequest",
    description="A list of texts; or a table; or one text with the content type `text/plain`.",
    texts={"texts": [EXAMPLE_TEXT]},
    table=table(["text"], [EXAMPLE_TEXT]),
)
