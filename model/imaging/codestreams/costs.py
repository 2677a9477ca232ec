"""What the pictures of one file may cost together: a thousand of them may share one costly codestream."""

import threading

from model.errors import ImageTooLarge

MAX_FILE_COST = 8.0  # times what one picture may cost: 33 million code blocks and packets take OpenJPEG some seconds


class FileCost:
    """The cost of the pictures of a file that were decoded so far. It may be used by several threads at once."""

    def __init__(self) -> None:
        self._lock, self._spent = threading.Lock(), 0.0

    def add(self, cost: float) -> None:
        """Add the cost of a picture, a result of `model.imaging.codestreams.jpeg.cost` or of `jpeg_2000.cost`.

        Raises:
            ImageTooLarge: the pictures cost more than `MAX_FILE_COST` together.
        """
        with self._lock:
            self._spent += cost
            is_too_much = self._spent > MAX_FILE_COST
        if is_too_much:
            raise ImageTooLarge(
                "the frames of the image have together too many scans, tiles, code blocks or packets; choose one with "
                "params.frame"
            )
