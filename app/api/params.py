"""Parameters of a request: how to read its images, and how to compute and answer. Imports nothing of HTTP."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from app.api.validation import validated
from app.errors import RequestInvalid
from model.imaging.limits import MAX_JPEG_QUALITY, MAX_STANDARDIZATION_SIZE
from model.imaging.preprocessing import Preprocessing, Standardization
from model.imaging.rendering import PERCENTILES, WINDOWS, AnyWindow, Axis, Contrast, Rendering, parse_window

MAX_FRAME = 2**31 - 1  # NumberOfFrames of DICOM is a 32-bit integer string (PS3.5, section 6.2)


def _boolean(value: Any) -> Any:
    if isinstance(value, str) and len(value) <= len("false") and value.lower() in ("true", "false"):
        return value.lower() == "true"
    return value


Layout = Literal["rows", "azure", "parts", "columns"]
Flag = Annotated[bool, Field(strict=True), BeforeValidator(_boolean)]


_WINDOW_SCHEMA = {
    "anyOf": [
        {"type": "string", "enum": [*WINDOWS, "percentile"]},
        {"type": "string", "pattern": PERCENTILES, "examples": ["p1-p99", "p5-p95"]},
        {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
    ]
}
DicomWindow = Annotated[AnyWindow, BeforeValidator(parse_window), WithJsonSchema(_WINDOW_SCHEMA)]


class ImageParams(BaseModel):
    """How the images of a request are read. All parameters are optional."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    image_standardization_image_size: Annotated[int, Field(strict=True)] = Field(
        512, ge=1, le=MAX_STANDARDIZATION_SIZE, description="Width and height of the standardised image, in pixels"
    )
    image_standardization_jpeg_compression_ratio: Annotated[int, Field(strict=True)] | None = Field(
        75,
        ge=0,
        le=MAX_JPEG_QUALITY,
        description="JPEG quality of the standardised image; 0 or null turns standardisation off",
    )
    frame: Annotated[int, Field(strict=True)] | None = Field(
        None,
        ge=0,
        le=MAX_FRAME,
        description="Frame of a DICOM file, page of a TIFF file, or slice of a NIfTI or NRRD volume, counted from "
        "0; null takes the first frame or page, and the middle slice of a volume",
    )
    axis: Axis = Field("axial", description="Direction across which a NIfTI or NRRD volume is cut into slices")
    dicom_window: DicomWindow | None = Field(
        None,
        description="Window that replaces the window of a DICOM, NIfTI or NRRD file: `[center, width]` in rescaled "
        "values (HU for CT), the name of a usual CT window, `percentile` (0.5 to 99.5) or percentiles such as `p1-p99`",
    )
    contrast: Contrast = Field(
        "none",
        description="Contrast of the 8-bit picture before the standardisation: `equalize` is a histogram equalisation "
        "of each channel",
    )

    @property
    def preprocessing(self) -> Preprocessing:
        """Which picture of a file is embedded, and how it becomes the encoder's input."""
        quality = self.image_standardization_jpeg_compression_ratio
        standardization = Standardization(self.image_standardization_image_size, quality) if quality else None
        return Preprocessing(standardization, Rendering(self.frame, self.axis, self.dicom_window, self.contrast))


def _no_frames(value: Any) -> None:
    if value is not None:
        raise ValueError("each image gives one picture; choose it with frame instead of frames")


class OnePictureParams(ImageParams):
    """How the images of a request are read, if each of them gives one picture."""

    frames: Annotated[None, BeforeValidator(_no_frames)] = Field(
        None, description="Refused unless null, because each image gives one picture; choose it with `frame`"
    )


class Params(ImageParams):
    """How to compute the embeddings and how to answer. All parameters are optional."""

    get_scaling_factor: Flag = Field(True, description="Put the raw learned `logit_scale` into every row")
    layout: Layout | None = Field(
        None,
        description="Layout of a JSON answer. rows is one object per row. azure is the same with a flat "
        "`text_features`. parts is one object per column. columns is one object with all columns. null takes the "
        "server's LAYOUT, which is rows unless the operator changes it",
    )
    on_error: Literal["request", "row"] = Field(
        "request",
        description="What a bad row does: request refuses the whole request, row answers "
        '`{"error": {"code": …, "message": …}}` in its place and computes the others',
    )
    truncate: Flag = Field(
        True, description="Cut a text that is longer than the model's context; false makes it a bad row"
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

    @property
    def answers_bad_rows(self) -> bool:
        """Whether a bad row is answered in its place; otherwise it refuses the request."""
        return self.on_error == "row"

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        if self.frames and self.frame is not None:
            raise ValueError("frame and frames exclude each other; give only one of them")
        if self.output_dtype == "int8" and not self.normalize:
            raise ValueError("output_dtype int8 needs unit vectors; leave normalize out")
        return self


_ANY_PARAM = frozenset(Params.model_fields)
AnyParams = TypeVar("AnyParams", bound=ImageParams)


def ignored_params(
    document: Mapping[str, Any], read: Collection[str] = Params.model_fields, *, read_beside: Collection[str] = ()
) -> tuple[str, ...]:
    """The names of parameters in a JSON document that its route does not read.

    Args:
        document: the document.
        read: names that the route reads in `params`.
        read_beside: names that the route reads beside `params`. Default: it reads no parameter there.

    Raises:
        RequestInvalid: as `check_no_frames`.
    """
    sent = document.get("params")
    inside = {name: value for name, value in sent.items() if name not in read} if isinstance(sent, Mapping) else {}
    beside = {
        name: document[name] for name in document if name not in read_beside and (name in _ANY_PARAM or name in read)
    }
    check_no_frames(beside | inside)
    return (*inside, *beside)


def check_no_frames(ignored: Mapping[str, Any]) -> None:
    """Raise RequestInvalid if `frames`, which would change the number of vectors, is among ignored parameters."""
    if ignored.get("frames") is not None:
        raise RequestInvalid(
            "frames has no effect in this place; only /embed/image reads it: in params of a JSON body, or in the URL "
            "for any other body."
        )


def parse_strings(sent: Mapping[str, str], model: type[AnyParams]) -> tuple[AnyParams, tuple[str, ...]]:
    """Parse the parameters in a URL's query or a form's fields, for bodies that are not JSON.

    Returns:
        The parameters, and the names that are not parameters.

    Raises:
        RequestInvalid: a value is wrong; the message names the parameter.
    """
    known = {name: value for name, value in sent.items() if name in model.model_fields}
    return validated(model, known, from_strings=True), tuple(name for name in sent if name not in known)
