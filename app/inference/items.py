"""Images and texts of a request, in the form that all schemas are parsed to."""

from dataclasses import dataclass, replace

from app.decoding.framed_file import FramedFile
from model.imaging.preprocessing import Preprocessing
from model.imaging.rendering import Rendering


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
        preprocessing: which picture of a file is used, and how it becomes the encoder's input; default: the endpoint's.
        normalize: True returns vectors of unit L2 norm, False the projections as they are.
        truncate: True cuts a text that is longer than the context, False refuses it.
    """

    preprocessing: Preprocessing = Preprocessing()  # noqa: RUF009 (frozen)
    normalize: bool = True
    truncate: bool = True

    def rendering_of(self, item: Item) -> Rendering:
        rendering = self.preprocessing.rendering
        return rendering if item.frame is None else replace(rendering, frame=item.frame)
