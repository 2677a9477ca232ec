"""Request of `/render`: one image, and the parameters that decide which picture of it is shown."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel, Field

from app.api.azure.schema import InputData, table_items
from app.api.params import Flag, OnePictureParams, ignored_params, parse_strings
from app.api.validation import validated
from app.errors import RequestInvalid
from app.inference.items import EmbedOptions, Item

Image = TypeVar("Image")


class RenderParams(OnePictureParams):
    """Which picture is shown. All parameters are optional."""

    standardized: Flag = Field(
        False, description="Show the picture after the first step of the endpoint, the small square JPEG"
    )


class RenderRequest(BaseModel):
    """A request in the Azure endpoint's schema, with one row and the column `image`."""

    input_data: InputData
    params: RenderParams | None = None


@dataclass(frozen=True)
class RenderJob:
    """An image and the parameters of its picture.

    Args:
        image: the image.
        params: which picture is shown.
        ignored_params: names of sent parameters that the route does not know.
    """

    image: Item
    params: RenderParams
    ignored_params: Sequence[str] = ()

    @classmethod
    def from_files(cls, images: Sequence[bytes], sent: Mapping[str, str]) -> "RenderJob":
        """A job from image files, and the parameters sent.

        Raises:
            RequestInvalid: a parameter is wrong, or there is more than one image.
        """
        params, ignored = parse_strings(sent, RenderParams)
        return cls(Item(0, _only(images)), params, ignored)

    @property
    def options(self) -> EmbedOptions:
        preprocessing = self.params.preprocessing
        return EmbedOptions(preprocessing if self.params.standardized else replace(preprocessing, standardization=None))


def parse_render(document: Any, *, max_rows: int) -> RenderJob:
    """Parse a JSON document of the Azure schema with one image.

    Raises:
        RequestInvalid: the document does not follow the schema, or has more than one image.
        TooManyRows: more rows than `max_rows`.
    """
    request = validated(RenderRequest, document)
    images, _ = table_items(request.input_data, "input_data", max_rows=max_rows, columns=["image"])
    params = request.params or RenderParams()
    return RenderJob(_only(images), params, ignored_params(document, RenderParams.model_fields))


def _only(images: Sequence[Image]) -> Image:
    if len(images) > 1:
        raise RequestInvalid(f"The request has {len(images)} images, but the answer is one picture; send one image.")
    return images[0]
