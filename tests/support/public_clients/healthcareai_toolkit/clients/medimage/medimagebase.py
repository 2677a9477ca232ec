"""The toolkit's way from an endpoint's name to its URL and key, and from an image to what is sent."""

import base64
import io
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image

PERCENTILES = (1, 99)
SIZE = (480, 480)


class WorkspaceEndpointManager:
    """In the toolkit, it asks Azure for the URL (`target`) and the key (`headers`) of an endpoint."""

    target: str
    headers: dict[str, str]

    def __init__(self, resource_id: str | None, credential: Any = None) -> None:
        raise RuntimeError("there is no Azure here")


class MedImageBaseClient:
    """Base of the clients.

    Args:
        endpoint_name: name of the endpoint, for `WorkspaceEndpointManager`.
        credential: the same.
        params: `params` of every request.
    """

    def __init__(
        self, endpoint_name: str | None = None, credential: Any = None, params: dict[str, Any] | None = None
    ) -> None:
        self.endpoint_manager = WorkspaceEndpointManager(endpoint_name, credential)
        self.params = params or {}

    def _submit_payload(self, payload: dict[str, Any]) -> Any:
        answer = httpx.post(
            self.endpoint_manager.target, json=payload, headers=self.endpoint_manager.headers, timeout=120
        )
        return answer.raise_for_status().json()


def sent_image(path: str) -> str:
    """What is sent of a file: a PNG in RGB of 480 x 480, as base64 with a line break after every 76 characters.

    Values of a DICOM file are scaled to 8 bits from the 1st to the 99th percentile; other pictures are not.
    """
    if Path(path).suffix == ".dcm":
        values: NDArray[Any] = sitk.GetArrayFromImage(sitk.ReadImage(path))[0].astype(np.float32)
        low, high = np.percentile(values, PERCENTILES)
        values = ((values.clip(low, high) - low) / (high - low) * 255).astype(np.uint8)
    else:
        with Image.open(path) as image:
            values = np.asarray(image)
    stream = io.BytesIO()
    Image.fromarray(values).convert("RGB").resize(SIZE).save(stream, "PNG")
    return base64.encodebytes(stream.getvalue()).decode()
