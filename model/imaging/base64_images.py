"""Images that arrive as text: base64, data URIs, and URLs, which are recognised but not fetched."""

import binascii
import re

from model.errors import ImageDecodeError

_DATA_URI = re.compile(r"\Adata:[^,;]*(;[^,;]*)*?;base64,", re.IGNORECASE)
_URL = re.compile(r"\A(https?|ftp|s3|file)://", re.IGNORECASE)


def is_url(text: str) -> bool:
    """Whether the text is the URL of an image. `decode_base64` refuses URLs: fetch the image first."""
    return _URL.match(text) is not None


def decode_base64(text: str) -> bytes:
    """Decode base64 text, with or without line breaks, blanks or a `data:` prefix.

    The alphabet is the standard one, and padding is required (RFC 4648, section 4).

    Raises:
        ImageDecodeError: the text is a URL, is not valid base64, or encodes no bytes.
    """
    if is_url(text):
        raise ImageDecodeError("the image is a URL and fetching is off (the operator can set URL_ALLOWLIST); "
                               "send base64")  # fmt: skip
    prefix = _DATA_URI.match(text[:200])
    encoded = text[prefix.end() :] if prefix else text
    try:
        data = binascii.a2b_base64(encoded.encode("ascii").translate(None, b"\r\n\t "), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ImageDecodeError("the image is not valid base64 (standard alphabet, padded with '=')") from error
    if not data:
        raise ImageDecodeError("the image is empty")
    return data
