"""What a request may say beside its rows: how to compute, and how to answer. pydantic only."""

import math
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from model.imaging.rendering import WINDOWS, Axis, Rendering, Window

MOST_STANDARDIZATION_PIXELS = 4096  # per side: 50 MB a picture; the encoder never sees more than its own size


def _boolean(value: Any) -> Any:
    if isinstance(value, str) and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


Flag = Annotated[bool, Field(strict=True), BeforeValidator(_boolean)]


def _window(value: Any) -> Window:
    if isinstance(value, str) and "," not in value:
        if value in WINDOWS:
            return WINDOWS[value]
        raise ValueError(f"not a window that is known; known are {', '.join(WINDOWS)}")
    parts = value.split(",") if isinstance(value, str) else value
    try:
        center, width = (float(part) for part in parts)
    except (TypeError, ValueError):
        raise ValueError("a name or [center, width] is needed") from None
    if not (math.isfinite(center) and math.isfinite(width) and width > 0):
        raise ValueError("center and width must be finite, and width greater than 0")
    return Window(center, width)


_WINDOW_SCHEMA = {
    "anyOf": [
        {"type": "string", "enum": [*WINDOWS]},
        {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    ]
}


class Params(BaseModel):
    """How to compute and how to answer; all may be left out."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    get_scaling_factor: Flag = Field(True, description="put the raw learned `logit_scale` into every row")
    image_standardization_image_size: Annotated[int, Field(strict=True)] = Field(
        512, ge=1, le=MOST_STANDARDIZATION_PIXELS, description="pixels along both sides of the standardised image"
    )
    image_standardization_jpeg_compression_ratio: Annotated[int, Field(strict=True)] | None = Field(
        75, ge=0, le=95, description="JPEG quality of the standardised image; 0 or null turns standardisation off"
    )
    layout: Literal["rows", "parts", "columns"] = Field("rows", description="shape of the answer")
    frame: Annotated[int, Field(strict=True)] | None = Field(
        None,
        ge=0,
        description="which frame of a DICOM file, page of a TIFF or slice of a NIfTI or NRRD volume, counted from "
        "0; null takes the first, or of volumes the middle one",
    )
    frames: Literal["all"] | None = Field(
        None, description='"all" gives one vector a frame, in their order, on `/embed/image`'
    )
    axis: Axis = Field("axial", description="across which slices are taken of a NIfTI or NRRD volume")
    dicom_window: Annotated[Window, BeforeValidator(_window), WithJsonSchema(_WINDOW_SCHEMA)] | None = Field(
        None,
        description="`[center, width]` in the values after rescaling (HU for CT), or the name of a usual CT window, "
        "instead of the file's own; for DICOM, NIfTI and NRRD",
    )
    normalize: Flag = Field(True, description="vectors of unit L2 norm; false gives the projections as they are")
    encoding_format: Literal["float", "base64"] = Field(
        "float", description="of a vector in JSON: numbers, or its little-endian memory as base64"
    )
    output_dtype: Literal["float32", "float16", "int8", "binary"] = Field(
        "float32",
        description="of a vector's numbers: int8 has 256 steps from -0.2 to 0.2, binary eight signs in an int8",
    )

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.frames and self.frame is not None:
            raise ValueError('frame and frames exclude each other; frames is "all" or left out')
        if self.output_dtype == "int8" and not self.normalize:
            raise ValueError("output_dtype int8 is of unit vectors; leave normalize out")
        return self

    @property
    def rendering(self) -> Rendering:
        """Which picture of a file is made, and how."""
        return Rendering(self.frame, self.axis, self.dicom_window)


def ignored_params(document: Any) -> tuple[str, ...]:
    """The names in `params` that mean nothing here."""
    params = document.get("params") if isinstance(document, Mapping) else None
    return tuple(name for name in params or () if name not in Params.model_fields)
