"""Content negotiation: names and qualities in `Accept` headers."""

import pytest

from app.api.content_negotiation import qualities


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("", {"": 1.0}),
        ("gzip", {"gzip": 1.0}),
        ("GZIP;q=0.5 , zstd ; q=0,*", {"gzip": 0.5, "zstd": 0.0, "*": 1.0}),
        ("application/json; charset=utf-8; q=0.1", {"application/json": 0.1}),
        ("br;q=much", {"br": 0.0}),
    ],
)
def test_names_and_qualities(header: str, found: dict[str, float]) -> None:
    assert qualities(header) == found
