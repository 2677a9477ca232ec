"""A file of which every frame is decoded for one request."""

from model.imaging.limits import MAX_FRAMES_PIXELS, too_many_frame_pixels


class FramedFile:
    """What is left to decode of a file; it is also the key by which a worker keeps the file open.

    Args:
        frame_count: number of frames, each of which is decoded once.
        inflates: whether an open file holds an inflated copy of up to `model.imaging.limits.MAX_VOLUME_BYTES`.
    """

    def __init__(self, frame_count: int = 0, *, inflates: bool = False) -> None:
        self.undecoded, self.inflates = frame_count, inflates
        self._decoded_pixels = 0

    def check_decoded(self) -> None:
        """Raise ImageTooLarge if the frames so far have more than `model.imaging.limits.MAX_FRAMES_PIXELS`.

        A small file may announce a thousand large ones.
        """
        if self._decoded_pixels > MAX_FRAMES_PIXELS:
            raise too_many_frame_pixels()

    def add_decoded(self, pixels: int) -> None:
        """Count a frame that was decoded."""
        self.undecoded -= 1
        self._decoded_pixels += pixels
