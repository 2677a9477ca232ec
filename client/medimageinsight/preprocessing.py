"""Parameters of the preprocessing of images. A parameter that is not given is the server's, or that of a head."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

Axis = Literal["axial", "coronal", "sagittal"]
Contrast = Literal["none", "equalize"]


class Preprocessing(TypedDict, total=False):
    """The preprocessing parameters of `Client.embed_images`, which describes them."""

    dicom_window: str | Sequence[float] | None
    contrast: Contrast
    frame: int | None
    axis: Axis
    image_standardization_image_size: int
    image_standardization_jpeg_compression_ratio: int | None


def checked(preprocessing: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters as they are sent.

    Raises:
        TypeError: a name is not that of a parameter.
    """
    for name in preprocessing:
        if name not in Preprocessing.__annotations__:
            raise TypeError(f"{name!r} is not a parameter; {', '.join(Preprocessing.__annotations__)} are")
    params = dict(preprocessing)
    if not isinstance(window := params.get("dicom_window"), str | None):
        params["dicom_window"] = [*window]
    return params
