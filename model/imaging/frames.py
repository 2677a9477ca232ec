"""Choice of one frame, page or slice of a file that has several."""

from model.errors import ImageDecodeError


def frame_index(requested: int | None, count: int, *, default: int, source: str) -> int:
    """The index of the frame to decode, from 0.

    Args:
        requested: the index that the user asks for; None takes `default`.
        count: the number of frames in the file.
        default: the index of the frame that is usual for this kind of file.
        source: what the file is, for the error message: "TIFF image".

    Raises:
        ImageDecodeError: the file does not have the requested frame.
    """
    if requested is None:
        return default
    if requested >= count:
        frames = "1 frame" if count == 1 else f"{count:,} frames"
        raise ImageDecodeError(f"the {source} has {frames}, counted from 0: there is no frame {requested:,}")
    return requested
