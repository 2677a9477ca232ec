"""The lists in which a client says what it accepts, and how much it likes it (RFC 9110, 12.5)."""


def qualities(header: str) -> dict[str, float]:
    """The names in an `Accept` or `Accept-Encoding` header, lower case, with their quality: 0 (refused) to 1."""
    found: dict[str, float] = {}
    for part in header.split(","):
        name, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weights = [parameter[2:] for parameter in parameters if parameter.startswith("q=")]
        try:
            found[name] = float(weights[0]) if weights else 1.0
        except ValueError:
            found[name] = 0.0
    return found
