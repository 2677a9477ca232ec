"""A matrix of DICOM files is rendered as three judges expect: what was encoded, GDCM, and DCMTK.

The first two are stored values and the formulas of PS3.3; the third is the picture of DCMTK's own program. Each file is
equal, or refused by name, or has a known difference that is explained by a paragraph of the standard.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.imaging.images import open_image
from model.imaging.rendering import Rendering, Window
from tests.support.image_files.dicom import MAX_PIXELS
from tests.support.image_files.dicom_matrix.parameters import recipes
from tests.support.image_files.dicom_matrix.recipes import Recipe
from tests.support.image_files.dicom_matrix.writer import MatrixFile
from tests.support.judges import dcmtk
from tests.support.judges import dicom_matrix_differences as differences
from tests.support.judges.dicom_matrix import by_dcmtk, by_gdcm, by_source, window_of
from tests.support.judges.verdicts import Difference, Expected, Verdicts

FILES = [MatrixFile(recipe, number) for number, recipe in enumerate(recipes())]
TOLERANCE = 2

# Files per outcome. The seed of the matrix is fixed.
SOURCE_COUNTS = {"equal": 365, "explained": 14}
GDCM_COUNTS = {"equal": 289, "explained": 90}
DCMTK_EQUAL = 330  # the others are explained; with DCMTK 3.6.7, of Debian 12


def pictures(file: MatrixFile, window: Window | None = None) -> list[NDArray[np.uint8]]:
    """The product's pictures of all frames."""
    image = open_image(file.data, max_pixels=MAX_PIXELS)
    count = image.frame_count(Rendering())
    return [np.asarray(image.decode(Rendering(frame=frame, window=window))) for frame in range(count)]


def judged(
    ours: Sequence[list[NDArray[np.uint8]]], judge: Sequence[Expected | None], known: Sequence[Difference[Recipe]]
) -> Verdicts[Recipe]:
    verdicts = Verdicts(known)
    for file, mine, theirs in zip(FILES, ours, judge, strict=True):
        verdicts.add(file.recipe, described(file.recipe), mine, theirs, TOLERANCE)
    return verdicts


def described(recipe: Recipe) -> str:
    return ", ".join(f"{part.name}={getattr(recipe, part.name)}" for part in fields(recipe))


def assert_judged(verdicts: Verdicts[Recipe], counts: dict[str, int]) -> None:
    assert not verdicts.wrong, "\n".join(verdicts.wrong)
    assert verdicts.counts == counts
    assert verdicts.unused == []


@pytest.fixture(scope="module")
def ours() -> list[list[NDArray[np.uint8]]]:
    return [pictures(file) for file in FILES]


def test_the_matrix_has_hundreds_of_files_of_all_transfer_syntaxes() -> None:
    assert len(FILES) == sum(SOURCE_COUNTS.values()) >= 250
    syntaxes = Counter(file.recipe.syntax for file in FILES)
    assert len(syntaxes) == 16
    assert min(syntaxes.values()) >= 8


def test_pictures_are_those_that_were_encoded(ours: list[Any]) -> None:
    assert_judged(judged(ours, [by_source(file) for file in FILES], differences.SOURCE), SOURCE_COUNTS)


def test_pictures_are_those_of_gdcm(ours: list[Any], tmp_path: Path) -> None:
    assert_judged(judged(ours, by_gdcm(FILES, tmp_path), differences.GDCM), GDCM_COUNTS)


@pytest.mark.skipif(not dcmtk.INSTALLED, reason="needs DCMTK's programs: apt-get install dcmtk")
def test_pictures_are_those_of_dcmtk(tmp_path: Path) -> None:
    ours = [pictures(file, window_of(file)) for file in FILES]
    verdicts = judged(ours, by_dcmtk(FILES, tmp_path), differences.DCMTK)
    assert not verdicts.wrong, "\n".join(verdicts.wrong)
    assert verdicts.counts["equal"] >= DCMTK_EQUAL
