"""The toolkit's client of MedImageInsight."""

from collections.abc import Sequence
from itertools import zip_longest
from typing import Any

from .medimagebase import MedImageBaseClient, sent_image


class MedImageInsightClient(MedImageBaseClient):
    """Sends images and texts to the endpoint."""

    def submit(self, image_list: Sequence[str] | None = None, text_list: Sequence[str] | None = None) -> Any:
        """Pair images and texts, the shorter list filled up with null, and return the parsed answer."""
        rows = [list(pair) for pair in zip_longest(map(sent_image, image_list or ()), text_list or ())]
        table = {"columns": ["image", "text"], "index": list(range(len(rows))), "data": rows}
        return self._submit_payload({"input_data": table, "params": self.params})
