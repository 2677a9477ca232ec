"""Images that arrive as text: base64, data URIs, and URLs, which are recognised but not fetched."""

import binascii
import re

from model.errors import ImageDecodeError

_DATA_URI = re.compile(r"\Adata:[^,;]*(;[^,;]*)*?;base64,", re.IGNORECASE)
_URL = re.compile(r"\A(https?|ftp|s3|file)://", re.IGNORECASE)

_NO_PATHS = "a file path, and the server reads no paths; send the file's bytes as base64, or the file itself in a form"
_SAMPLE_CHARS = 4096  # of each end of a text that is not base64; no path is longer
# Every form has a character that base64 has not, so that no damaged base64 is taken for a path.
_PATH = re.compile(
    r"\Afile:|\A[a-z]:[\\/]|\A(\\\\|~[\\/]|\.{1,2}[\\/])|\A/(?=.*[-_.])[\w./ -]*\Z"
    r"|\.(dcm|dicom|ima|png|jpe?g|jp2|j2k|tiff?|bmp|gif|webp|nii|nrrd|nhdr|svg|pdf|zip|gz)\Z",
    re.IGNORECASE | re.ASCII,
)
# What clients send instead of base64, and what would be right.
_OTHER_FORMS = (
    (r"\Adata:", "a data: URI without base64; send data:TYPE;base64,DATA"),
    (r"\Ab['\"]", "the repr of Python bytes; send the result of base64.b64encode(data).decode()"),
    (r"%(2[BbFf]|3[Dd])", "URL-encoded base64; send +, / and = as they are"),
    (r"\A(?=.*[-_])[\w-]+=*\Z", "base64 in the URL alphabet; send + for - and / for _, padded with '='"),
)


def is_url(text: str) -> bool:
    """Whether the text is the URL of an image. `decode_base64` refuses URLs: fetch the image first."""
    return _URL.match(text) is not None


def url_refusal(url: str) -> str:
    """Why the URL of an image is refused where none is fetched. The URL is not repeated."""
    if _PATH.match(url):
        return f"the image looks like {_NO_PATHS}"
    return "the image is a URL and fetching is off (the operator can set URL_ALLOWLIST); send base64"


def decode_base64(text: str) -> bytes:
    """Decode base64 text, with or without line breaks, blanks or a `data:` prefix.

    The alphabet is the standard one, and padding is required (RFC 4648, section 4).

    Raises:
        ImageDecodeError: the text is a URL, is not valid base64, or encodes no bytes. The message says what else the
            text looks like, such as a file path, and does not repeat it.
    """
    if is_url(text):
        raise ImageDecodeError(url_refusal(text))
    prefix = _DATA_URI.match(text[:200])
    encoded = text[prefix.end() :] if prefix else text
    try:
        data = binascii.a2b_base64(encoded.encode("ascii").translate(None, b"\r\n\t "), strict_mode=True)
    except (binascii.Error, UnicodeEncodeError) as error:
        raise ImageDecodeError(f"the image is not valid base64{_likeness(encoded.strip())}") from error
    if not data:
        raise ImageDecodeError("the image is empty")
    return data


def _likeness(text: str) -> str:
    """What a text that is not base64 looks like, for the message; or what base64 is."""
    if len(text) <= _SAMPLE_CHARS and _PATH.search(text):
        return f": it looks like {_NO_PATHS}"
    sample = text if len(text) <= 2 * _SAMPLE_CHARS else text[:_SAMPLE_CHARS] + text[-_SAMPLE_CHARS:]
    looks = (looks for pattern, looks in _OTHER_FORMS if re.search(pattern, sample, re.ASCII))
    found = next(looks, None)
    return f": it looks like {found}" if found else " (standard alphabet, padded with '=')"
