"""Parameters of a request: how to read its images, and how to compute and answer. Imports nothing of HTTP."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from app.api.validation import validated
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import WINDOWS, Axis, Rendering, Window

MAX_STANDARDIZATION_PIXELS = 4096  # per side, so 50 MB per image
MAX_VALUE_CHARS = 100  # a longer string is not split: its parts could fill the memory
MAX_FRAME = 2**31 - 1  # NumberOfFrames of DICOM is a 32-bit integer string (PS3.5, section 6.2)


def _boolean(value: Any) -> Any:
    if isinstance(value, str) and len(value) <= MAX_VALUE_CHARS and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


Flag = Annotated[bool, Field(strict=True), BeforeValidator(_boolean)]


def parse_window(value: Any) -> Window:
    """A window from its name, from "center,width", or from two numbers.

    Raises:
        ValueError: the message says what a window looks like, and does not repeat the value.
    """
    if isinstance(value, str) and len(value) > MAX_VALUE_CHARS:
        raise ValueError("the window must be a name or [center, width]")
    if isinstance(value, str) and "," not in value:
        if value in WINDOWS:
            return WINDOWS[value]
        raise ValueError(f"the name of the window is unknown; known names are {', '.join(WINDOWS)}")
    parts = value.split(",") if isinstance(value, str) else value if isinstance(value, list | tuple) else ()
    try:
        center, width = (float(part) for part in parts)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("the window must be a name or [center, width]") from None
    if not (math.isfinite(center) and math.isfinite(width) and width > 0):
        raise ValueError("center and width must be finite, and width greater than 0")
    return Window(center, width)


_WINDOW_SCHEMA = {
    "anyOf": [
        {"type": "string", "enum": [*WINDOWS]},
        {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    ]
}


class ImageParams(BaseModel):
    """How the images of a request are read. All parameters are optional."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    image_standardization_image_size: Annotated[int, Field(strict=True)] = Field(
        512, ge=1, le=MAX_STANDARDIZATION_PIXELS, description="Width and height of the standardised image, in pixels"
    )
    image_standardization_jpeg_compression_ratio: Annotated[int, Field(strict=True)] | None = Field(
        75, ge=0, le=95, description="JPEG quality of the standardised image; 0 or null turns standardisation off"
    )
    frame: Annotated[int, Field(strict=True)] | None = Field(
        None,
        ge=0,
        le=MAX_FRAME,
        description="Frame of a DICOM file, page of a TIFF file, or slice of a NIfTI or NRRD volume, counted from "
        "0; null takes the first frame or page, and the middle slice of a volume",
    )
    axis: Axis = Field("axial", description="Direction across which a NIfTI or NRRD volume is cut into slices")
    dicom_window: Annotated[Window, BeforeValidator(parse_window), WithJsonSchema(_WINDOW_SCHEMA)] | None = Field(
        None,
        description="Window that replaces the window of a DICOM, NIfTI or NRRD file: `[center, width]` in rescaled "
        "values (HU for CT), or the name of a usual CT window",
    )

    @property
    def rendering(self) -> Rendering:
        """Which image of a file is rendered, and how."""
        return Rendering(self.frame, self.axis, self.dicom_window)

    @property
    def standardization(self) -> Standardization | None:
        """The first step of the endpoint; None if it is turned off."""
        quality = self.image_standardization_jpeg_compression_ratio
        return Standardization(self.image_standardization_image_size, quality) if quality else None


class Params(ImageParams):
    """How to compute the embeddings and how to answer. All parameters are optional."""

    get_scaling_factor: Flag = Field(True, description="Put the raw learned `logit_scale` into every row")
    layout: Literal["rows", "parts", "columns"] = Field(
        "rows",
        description="Layout of a JSON answer: rows is one object per row, parts one object per column, columns one "
        "object with all columns",
    )
    frames: Literal["all"] | None = Field(
        None, description='"all" gives one vector per frame, in the order of the frames; only on `/embed/image`'
    )
    normalize: Flag = Field(
        True, description="Scale each vector to unit L2 norm; false gives the projections as they are"
    )
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="Encoding of a vector in JSON: a list of numbers, or its little-endian bytes as base64"
    )
    output_dtype: Literal["float32", "float16", "int8", "binary"] = Field(
        "float32",
        description="Number format of a vector: int8 has 256 steps from -0.2 to 0.2; binary packs eight signs into "
        "an int8",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.frames and self.frame is not None:
            raise ValueError("frame and frames exclude each other; give only one of them")
        if self.output_dtype == "int8" and not self.normalize:
            raise ValueError("output_dtype int8 needs unit vectors; leave normalize out")
        return self


AnyParams = TypeVar("AnyParams", bound=ImageParams)


def ignored_params(document: Any, model: type[ImageParams] = Params) -> tuple[str, ...]:
    """The names in `params` of a JSON document that are not parameters of the model."""
    params = document.get("params") if isinstance(document, Mapping) else None
    return tuple(name for name in params or () if name not in model.model_fields)


def parse_strings(sent: Mapping[str, str], model: type[AnyParams]) -> tuple[AnyParams, tuple[str, ...]]:
    """Parse the parameters in a URL's query or a form's fields, for bodies that are not JSON.

    Returns:
        The parameters, and the names that are not parameters.

    Raises:
        RequestInvalid: a value is wrong; the message names the parameter.
    """
    known = {name: value for name, value in sent.items() if name in model.model_fields}
    return validated(model, known, from_strings=True), tuple(name for name in sent if name not in known)
