"""Every row of the table "Formats" in `docs/images.md` is true."""

import pytest

import tests.docs.image_formats.depths
import tests.docs.image_formats.medical
import tests.docs.image_formats.raster  # noqa: F401 (these modules register the tests of the rows)
from tests.docs.image_formats.rows import TESTS, rows


@pytest.mark.parametrize("first_cell", rows())
def test_a_row_is_true(first_cell: str) -> None:
    if first_cell not in TESTS:
        pytest.fail(f'docs/images.md, "Formats": the row "{first_cell}" has no test in tests/docs/image_formats')
    TESTS[first_cell]()


def test_every_tested_row_is_on_the_page() -> None:
    assert sorted(set(TESTS) - set(rows())) == []
