"""Content negotiation: parsing of `Accept` and `Accept-Encoding` (RFC 9110, section 12.5)."""


def qualities(header: str) -> dict[str, float]:
    """The quality of each name in an `Accept` or `Accept-Encoding` header.

    Names are in lower case. The quality is 1 if the header gives none, and 0 (refused) if it is not a number.
    """
    found: dict[str, float] = {}
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
        try:
            found[name] = float(weights[0]) if weights else 1.0
        except ValueError:
            found[name] = 0.0
    return found
