"""Location of an image's bytes: a whole file, or base64 text inside a file."""

from dataclasses import dataclass
from pathlib import Path

from model.imaging.base64_images import decode_base64


@dataclass(frozen=True)
class ImageSource:
    """Where the bytes of an image lie.

    Args:
        path: the image file, or the file that contains the base64 text.
        offset: bytes in front of the base64 text; default -1: `path` is the image file itself.
        length: bytes of base64 text; default 0; only used with an offset.
    """

    path: Path
    offset: int = -1
    length: int = 0

    def read(self, max_bytes: int = -1) -> bytes:
        """Read the bytes of the image file.

        Args:
            max_bytes: read at most this many; default -1 reads all.

        Raises:
            InvalidInput: the text is not base64.
            OSError: the file cannot be read.
        """
        if self.offset < 0:
            with self.path.open("rb") as stream:
                return stream.read(max_bytes)
        # Base64 has 4 characters per 3 bytes.
        length = self.length if max_bytes < 0 else min(self.length, max_bytes // 3 * 4)
        with self.path.open("rb") as stream:
            stream.seek(self.offset)
            return decode_base64(stream.read(length).decode("ascii", "replace"))
