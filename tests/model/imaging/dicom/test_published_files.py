"""Every DICOM file that pydicom, pydicom-data and wsidicom-data publish is rendered correctly, or refused by name.

The judges are GDCM's stored values with the formulas of PS3.3, the pictures of DCMTK's own program, and, where the
collection has it, the picture that was encoded. The first and the last frame of each file are compared.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import InvalidInput
from model.imaging.images import open_image
from model.imaging.rendering import Rendering, Window
from tests.support.image_files.dicom import MAX_PIXELS, PYDICOM_FILES
from tests.support.image_files.published_dicom import PublishedFile, published_files
from tests.support.judges import dcmtk, gdcm
from tests.support.judges import published_dicom_differences as differences
from tests.support.judges.published_dicom import by_dcmtk, by_standard, ends, header_of, windows_of, written
from tests.support.judges.standard import Values
from tests.support.judges.verdicts import Difference, Expected, Verdicts

TOLERANCE = 2

# Files per outcome.
COLLECTIONS = {"pydicom": 193, "pydicom-data": 68, "wsidicom-data": 34}
GDCM_COUNTS = {"equal": 187, "explained": 11}
DCMTK_EQUAL = 157  # the others are explained; with DCMTK 3.6.7, of Debian 12
ORIGINAL_COUNTS = {"equal": 30, "explained": 4}
REFUSED_COUNT = 97

NO_PICTURE = {
    "12-lead ECG Waveform Storage": ["waveform_ecg.dcm"],
    "Basic Text SR Storage": ["reportsi.dcm", "reportsi_with_empty_number_tags.dcm"],
    "CT Image Storage": [f"{path.parent.name}/{path.name}" for path in PYDICOM_FILES if path.name.startswith("IM0000")],
    "Color Palette Storage": [
        *("fall.dcm", "hotiron.dcm", "hotmetalblue.dcm", "pet.dcm", "pet20step.dcm"),
        *("spring.dcm", "summer.dcm", "winter.dcm"),
    ],
    "Comprehensive SR Storage": ["test-SR.dcm"],
    "Computed Radiography Image Storage": ["chrJapMulti.dcm", "chrJapMultiExplicitIR6.dcm", "chrKoreanMulti.dcm"],
    "RT Dose Storage": [
        *("badVR.dcm", "rtdose.dcm", "rtdose_1frame.dcm", "rtdose_expb.dcm", "rtdose_expb_1frame.dcm"),
        *("rtdose_rle.dcm", "rtdose_rle_1frame.dcm"),
    ],
    "RT Ion Plan Storage": ["ExplVR_BigEndNoMeta.dcm", "ExplVR_LitEndNoMeta.dcm"],
    "RT Plan Storage": ["rtplan.dcm"],
    "RT Structure Set Storage": ["rtstruct.dcm"],
    "unknown": [
        *("UN_sequence.dcm", "chrSQEncoding.dcm", "chrSQEncoding1.dcm", "empty_charset_LEI.dcm"),
        *("no_meta_group_length.dcm", "priv_SQ.dcm"),
    ],
}
REFUSED = {
    name: f"the DICOM file contains no picture (SOP class: {kind})"
    for kind, names in NO_PICTURE.items()
    for name in names
}
REFUSED |= {
    "JPEG2000-embedded-sequence-delimiter.dcm": "more than 4,096 tiles",  # its SIZ marker has no valid size
    "MR_truncated.dcm": "the pixel data of the DICOM file is cut short",
    "TINY_ALPHA/README": "cannot be read as any of",
    "meta_missing_tsyntax.dcm": "the DICOM file lacks the element Rows",
    "nested_priv_SQ.dcm": "the DICOM file lacks the element Rows",
    "no_meta.dcm": "cannot be read as any of",  # starts in the middle of an element
    "rtplan_truncated.dcm": "the DICOM file is cut short in its header",
}


@dataclass(frozen=True)
class Rendered:
    """A published file that the product reads: where it lies, its stored values by GDCM, the product's pictures."""

    file: PublishedFile
    path: Path
    stored: Values | None
    pictures: list[NDArray[np.uint8]]
    windows: list[Window | None]
    windowed: list[NDArray[np.uint8]]


def pictures(file: PublishedFile, windows: Sequence[Window | None] | None = None) -> list[NDArray[np.uint8]]:
    """The product's pictures of the first and the last frame, with a window per frame if given."""
    image = open_image(file.data, max_pixels=MAX_PIXELS)
    frames = sorted({0, image.frame_count(Rendering()) - 1})
    chosen = windows or [None] * len(frames)
    return [
        np.asarray(image.decode(Rendering(frame=frame, window=window)))
        for frame, window in zip(frames, chosen, strict=True)
    ]


def is_refused(file: PublishedFile) -> bool:
    return file.name in REFUSED or "DICOMDIR" in file.name


@pytest.fixture(scope="module")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> list[Rendered]:
    folder = tmp_path_factory.mktemp("published")
    files = [file for file in published_files() if not is_refused(file)]
    paths = written(files, folder)
    stored = gdcm.stored_values(paths, folder, ends_only=True)
    windows = [windows_of(file, values) for file, values in zip(files, stored, strict=True)]
    return [
        Rendered(file, path, values, mine := pictures(file), chosen, pictures(file, chosen) if any(chosen) else mine)
        for file, path, values, chosen in zip(files, paths, stored, windows, strict=True)
    ]


def verdicts_of(
    rendered: Sequence[Rendered], ours: Sequence[list[NDArray[np.uint8]]], judge: Sequence[Expected | None],
    known: Sequence[Difference[PublishedFile]],
) -> Verdicts[PublishedFile]:  # fmt: skip
    verdicts = Verdicts(known)
    for one, mine, theirs in zip(rendered, ours, judge, strict=True):
        verdicts.add(one.file, f"{one.file.collection} {one.file.name}", mine, theirs, TOLERANCE)
    return verdicts


def assert_judged(verdicts: Verdicts[PublishedFile], counts: dict[str, int]) -> None:
    assert not verdicts.wrong, "\n".join(verdicts.wrong)
    assert verdicts.counts == counts
    assert verdicts.unused == []


def test_all_three_collections_are_judged(rendered: list[Rendered]) -> None:
    files = published_files()
    assert Counter(file.collection for file in files) == COLLECTIONS
    assert len(files) - len(rendered) == REFUSED_COUNT


@pytest.mark.parametrize("file", [file for file in published_files() if is_refused(file)], ids=lambda file: file.name)
def test_a_file_without_a_readable_picture_is_refused_by_its_reason(file: PublishedFile) -> None:
    with pytest.raises(InvalidInput) as error:
        pictures(file)
    assert REFUSED.get(file.name, "the file is a DICOMDIR, a list of DICOM files") in str(error.value)


def test_pictures_are_those_of_gdcm(rendered: list[Rendered]) -> None:
    judge = [by_standard(one.file, one.stored) for one in rendered]
    ours = [one.pictures for one in rendered]
    assert_judged(verdicts_of(rendered, ours, judge, differences.GDCM), GDCM_COUNTS)


@pytest.mark.skipif(not dcmtk.INSTALLED, reason="needs DCMTK's programs: apt-get install dcmtk")
def test_pictures_are_those_of_dcmtk(rendered: list[Rendered]) -> None:
    judge = by_dcmtk([one.file for one in rendered], [one.path for one in rendered], [one.windows for one in rendered])
    ours = [one.windowed for one in rendered]
    verdicts = verdicts_of(rendered, ours, judge, differences.DCMTK)
    assert not verdicts.wrong, "\n".join(verdicts.wrong)
    assert verdicts.counts["equal"] >= DCMTK_EQUAL


def test_pictures_are_those_that_were_encoded(rendered: list[Rendered]) -> None:
    known = [one for one in rendered if one.file.original is not None]
    judge = [[one.file.original.astype(np.float64)] for one in known if one.file.original is not None]
    ours = [one.pictures for one in known]
    assert_judged(verdicts_of(known, ours, judge, differences.ORIGINAL), ORIGINAL_COUNTS)


def test_the_last_frame_is_counted_from_the_header(rendered: list[Rendered]) -> None:
    assert all(len(one.pictures) == len(ends(header_of(one.file))) for one in rendered)
