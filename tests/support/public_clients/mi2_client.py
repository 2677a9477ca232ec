"""Stand-in for `mi2_client.py` of the MedImageInsight MCP server."""

import base64
import io
from collections.abc import Sequence
from itertools import zip_longest
from typing import Any, Self

import httpx
import numpy as np
from PIL import Image

SIZE = (512, 512)


class MI2Client:
    """Sends images and texts to a scoring URL.

    Args:
        scoring_uri: the URL.
        authorization: the whole value of the header.
    """

    def __init__(self, scoring_uri: str, authorization: str) -> None:
        self.scoring_uri, self.authorization = scoring_uri, authorization

    @classmethod
    def from_endpoint(cls, endpoint_id: str, exclude_managed_identity: bool = False) -> Self:
        """In the original, Azure answers with the URL and the key of an endpoint; the MCP server starts here."""
        raise RuntimeError("there is no Azure here")

    def submit(self, image_list: Sequence[str] | None = None, text_list: Sequence[str] | None = None) -> Any:
        """Pair images and texts, the shorter list filled up with null, and return the parsed answer."""
        rows = [list(pair) for pair in zip_longest(map(sent_image, image_list or ()), text_list or ())]
        table = {"columns": ["image", "text"], "index": list(range(len(rows))), "data": rows}
        answer = httpx.post(
            self.scoring_uri,
            json={"input_data": table, "params": {}},
            headers={"Authorization": self.authorization},
            timeout=120,
        )
        return answer.raise_for_status().json()


def sent_image(path: str) -> str:
    """What is sent of a file: a JPEG of 512 x 512 in RGB, from the 5th to the 95th percentile, as base64."""
    with Image.open(path) as image:
        values = np.asarray(image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC), np.float32)
    low, high = np.percentile(values, (5, 95))
    scaled = ((values - low) / max(high - low, 1e-6) * 255).clip(0, 255).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(scaled).save(stream, "JPEG", quality=75)
    return base64.b64encode(stream.getvalue()).decode()
