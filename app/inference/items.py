"""Images and texts of a request, in the form that all schemas are parsed to."""

from dataclasses import dataclass, replace

from app.decoding.framed_file import FramedFile
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import AS_STORED, Rendering


@dataclass(frozen=True)
class Item:
    """One image or one text of a request.

    Args:
        row: number of the row that holds the item.
        payload: bytes or base64 of an image, or a text.
        frame: frame of the image; None takes the frame of the request's rendering.
        file: the file of the frame, if all its frames are items.
    """

    row: int
    payload: bytes | str
    frame: int | None = None
    file: FramedFile | None = None


@dataclass(frozen=True)
class EmbedOptions:
    """How a request's images are preprocessed and its vectors are returned.

    Args:
        standardization: the endpoint's first step; None skips it.
        rendering: which picture of a file is used, and its window.
        normalize: True returns vectors of unit L2 norm, False the projections as they are.
    """

    standardization: Standardization | None = None
    rendering: Rendering = AS_STORED
    normalize: bool = True

    def rendering_of(self, item: Item) -> Rendering:
        return self.rendering if item.frame is None else replace(self.rendering, frame=item.frame)
