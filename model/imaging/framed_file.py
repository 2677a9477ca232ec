"""An image file of which every frame is decoded for one request."""

import threading
from collections.abc import Callable

from PIL import Image

from model.imaging.formats import ImageFile
from model.imaging.limits import MAX_FRAMES_PIXELS, too_many_frame_pixels
from model.imaging.rendering import Rendering


class FramedFile:
    """An image file of which every frame is decoded. It may be used by several threads at once.

    An open file may hold an inflated copy of up to `model.imaging.limits.MAX_VOLUME_BYTES`, so it is not kept longer
    than necessary.

    Args:
        data: the whole file.
        open_image: opens the file, as `model.engine.EmbeddingEngine.open_image` does.

    Attributes:
        inflates: whether the open file holds such a copy; known after `count_frames`.
    """

    def __init__(self, data: bytes, open_image: Callable[[bytes], ImageFile]) -> None:
        self._data, self._open_image = data, open_image
        self.inflates = False
        self._lock = threading.Lock()
        self._file: ImageFile | None = None
        self._undecoded, self._decoded_pixels = 0, 0

    def count_frames(self, rendering: Rendering, *, keep_open: bool) -> int:
        """The number of frames, which is also the number of times that `decode` is expected to be called.

        Args:
            rendering: its axis decides how a volume is cut into slices.
            keep_open: whether the file stays open for the first frame, unless it inflates; otherwise `decode` opens it
                again.

        Raises:
            InvalidInput: the file is damaged, too large, or in a format that is not accepted.
        """
        file = self._open_image(self._data)
        self._undecoded, self.inflates = file.frame_count(rendering), file.inflates
        if keep_open and not self.inflates:
            self._file = file
        return self._undecoded

    def decode(self, rendering: Rendering) -> Image.Image:
        """Decode one frame; the open file is dropped after the last one.

        Raises:
            ImageTooLarge: the frames so far have more than `model.imaging.limits.MAX_FRAMES_PIXELS`: a small file may
                announce a thousand large ones.
            InvalidInput: the file cannot be opened, or the frame cannot be decoded.
        """
        if self._decoded_pixels > MAX_FRAMES_PIXELS:
            raise too_many_frame_pixels()
        try:
            with self._lock:  # threads that need the same file wait until one of them has opened it
                file = self._file = self._file or self._open_image(self._data)
            picture = file.decode(rendering)
        finally:
            with self._lock:
                self._undecoded -= 1
                if self._undecoded <= 0:
                    self._file = None
        with self._lock:
            self._decoded_pixels += picture.width * picture.height
        return picture

    def close(self) -> None:
        """Drop the open file now, whether all frames are decoded or not."""
        with self._lock:
            self._file, self._undecoded = None, 0
