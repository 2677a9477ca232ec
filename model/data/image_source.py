"""Location of an image's bytes: a whole file, or base64 text inside a file."""

import json
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
        is_escaped: whether the text is the inside of a JSON string with escapes, such as "\\/"; default False.
    """

    path: Path
    offset: int = -1
    length: int = 0
    is_escaped: bool = False

    def read(self, max_bytes: int = -1) -> bytes:
        """Read the bytes of the image file.

        Args:
            max_bytes: read at most this many; default -1 reads all. A text with escapes is read as a whole.

        Raises:
            InvalidInput: the text is not base64.
            OSError: the file cannot be read.
        """
        if self.offset < 0:
            with self.path.open("rb") as stream:
                return stream.read(max_bytes)
        # Base64 has 4 characters per 3 bytes.
        is_whole = max_bytes < 0 or self.is_escaped
        length = self.length if is_whole else min(self.length, max_bytes // 3 * 4)
        with self.path.open("rb") as stream:
            stream.seek(self.offset)
            text = stream.read(length).decode("ascii", "replace")
        return decode_base64(json.loads(f'"{text}"') if self.is_escaped else text)
