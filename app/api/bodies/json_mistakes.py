"""What people write who take something else for JSON."""

_BEGINNINGS = b'{["-0123456789tfnNI'
_QUOTES = ("'", "\u2018", "\u2019", "\u201c", "\u201d")
_PYTHON_WORDS = (b"True", b"False", b"None")


def usual_mistake(before: bytes, after: bytes) -> str:
    """What is wrong with a body that is not JSON, and what would be right; "" for an unusual mistake.

    Args:
        before: the body up to the fault, in UTF-8; each of its strings may be replaced by another.
        after: the rest, which may be left out if the fault is in a string.
    """
    body = before.lstrip()[:2] + after.lstrip()[:2]
    if body and (body[:1] not in _BEGINNINGS or body.startswith(b"--")):  # two dashes begin a form
        return "it begins with neither { nor [; with curl, -d @FILE sends a file"
    if after.startswith(tuple(quote.encode() for quote in _QUOTES)):
        return 'JSON has straight double quotes around names and strings: "'
    if after.startswith(_PYTHON_WORDS):
        return "JSON writes true, false and null"
    if before.rstrip().endswith((b"{", b",")) and after[:1].isalpha():
        return "JSON has double quotes around names"
    return ""
