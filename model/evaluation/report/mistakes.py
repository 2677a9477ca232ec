"""Pictures of the worst mistakes, as the image encoder sees them."""

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from PIL import Image

from model.data.manifest import Row
from model.errors import InvalidInput
from model.imaging.contrast import grey_or_rgb
from model.imaging.images import open_image
from model.imaging.preprocessing import Preprocessing

SIDE_PIXELS = 224
_QUALITY = 80


@dataclass(frozen=True)
class MistakePictures:
    """Which mistakes get a picture in the page.

    Args:
        count: number of mistakes per task.
        preprocessing: how image files become the encoder's input.
        max_pixels: limit for one picture, from its header.
    """

    count: int
    preprocessing: Preprocessing
    max_pixels: int

    def draw(self, tasks: Mapping[str, Any], rows: Sequence[Row]) -> dict[int, str]:
        """Row number -> data URI of a small JPEG, for the first mistakes of each task. The files hold no metadata.

        An image that can no longer be read is left out.

        Args:
            tasks: the tasks of the report.
            rows: the test rows.
        """
        wanted = {mistake["row"] for task in tasks.values() for mistake in task.get("worst_mistakes", ())[: self.count]}
        pictures = {}
        for row in rows:
            if row.number in wanted:
                try:
                    pictures[row.number] = self._draw(row)
                except (InvalidInput, OSError):
                    continue
        return pictures

    def _draw(self, row: Row) -> str:
        picture = open_image(row.image.read(), max_pixels=self.max_pixels).decode(self.preprocessing.rendering)
        standardization = self.preprocessing.standardization
        seen = grey_or_rgb(standardization(picture) if standardization else picture)
        small = seen.resize((SIDE_PIXELS, SIDE_PIXELS), Image.Resampling.BICUBIC)
        small.info = {}
        stream = io.BytesIO()
        small.save(stream, "JPEG", quality=_QUALITY)
        return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
