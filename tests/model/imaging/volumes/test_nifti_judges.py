"""NIfTI files of many kinds, compared with nibabel and SimpleITK."""

import gzip
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from model.imaging.rendering import Axis
from tests.model.imaging.volumes.judges import itk_values, nibabel_values, summary, verdict
from tests.support.image_files.volumes import AXES, NIFTI_CODES, nifti_with

SEED, FILES = 11, 400
SHAPES = ((7, 6), (7, 6, 5), (7, 6, 1), (1, 6, 5), (7, 6, 5, 2), (7, 6, 5, 1, 1), (7, 6, 1, 2))
SCALES = ((1, 0), (0, 0), (2.5, -10), (-1.5, 3), (np.nan, np.nan), (np.inf, 0), (1, np.nan))
FORMS = ("sform", "qform", "both", "none", "zero sform", "NaN sform", "singular sform", "long quaternion")
PACKINGS = ("none", "one", "blocks", "first 100 bytes", "empty ones", "zeros behind")


@dataclass(frozen=True)
class Case:
    """One file of the matrix."""

    letters: str
    order: str
    version: int
    shape: tuple[int, ...]
    scale: tuple[float, float]
    forms: str
    pixdim_sign: int
    packing: str
    is_oblique: bool
    is_finite: bool
    axis: Axis
    frame: int | None
    seed: int


def cases() -> Iterator[Case]:
    """Each value of each property occurs, in random combinations."""
    chance = np.random.default_rng(SEED)
    letters = itertools.cycle(NIFTI_CODES)
    for seed in range(FILES):
        shape = SHAPES[chance.integers(len(SHAPES))]
        yield Case(
            next(letters),
            "<>"[chance.integers(2)],
            int(chance.choice([1, 1, 1, 2])),
            shape,
            SCALES[chance.integers(len(SCALES))],
            FORMS[seed // 10 % len(FORMS)],
            int(chance.choice([1, 1, 1, 1, 1, -1])),
            PACKINGS[chance.integers(len(PACKINGS))],
            bool(chance.integers(2)),
            bool(chance.integers(2)),
            AXES[chance.integers(3)],
            0 if chance.integers(2) else None,
            seed,
        )


def values_of(case: Case) -> Any:
    chance = np.random.default_rng(case.seed)
    kind = np.dtype(case.letters)
    if kind.kind == "f":
        values = chance.normal(0, 1000, case.shape).astype(kind)
        if not case.is_finite:
            values.flat[chance.integers(values.size, size=3)] = (np.nan, np.inf, -np.inf)
        return values
    low, high = max(np.iinfo(kind).min, -(10**6)), min(np.iinfo(kind).max, 10**6)
    return chance.integers(low, high, case.shape).astype(kind)


def forms_of(case: Case) -> dict[str, Any]:
    """The fields of the header that say the orientation."""
    chance = np.random.default_rng(case.seed + 10**6)
    rotation = np.eye(3)[chance.permutation(3)] * chance.choice([-1, 1], 3)
    if case.is_oblique:
        turn = nibabel.quaternions.angle_axis2mat(chance.uniform(-0.5, 0.5), chance.normal(size=3))
        rotation = turn @ rotation
    zooms = chance.uniform(0.5, 4, 3)
    qfac = 1 if np.linalg.det(rotation) > 0 else -1
    quaternion = nibabel.quaternions.mat2quat(rotation * [1, 1, qfac])
    if case.forms == "long quaternion":  # a rotation by 180 degrees, so that the part that is not stored is 0
        parts = np.eye(3)[chance.integers(3)] + chance.normal(0, 0.1, 3) * case.is_oblique
        quaternion = np.array([0, *parts]) / np.linalg.norm(parts) * 1.0005
    rows = np.column_stack([rotation * zooms, chance.uniform(-50, 50, 3)])
    if case.forms in ("zero sform", "NaN sform"):
        rows[:] = 0 if case.forms == "zero sform" else np.nan
    if case.forms == "singular sform":
        rows[:, 1] = rows[:, 0]
    return {
        "sform_code": 0 if case.forms in ("qform", "none", "long quaternion") else 1,
        "qform_code": 0 if case.forms in ("sform", "none") else 1,
        **dict(zip(("srow_x", "srow_y", "srow_z"), rows, strict=True)),
        **dict(zip(("quatern_b", "quatern_c", "quatern_d"), quaternion[1:], strict=True)),
        "pixdim": [qfac, *(case.pixdim_sign * zooms), 1, 1, 1, 1],
    }


def packed(data: bytes, packing: str) -> bytes:
    if packing == "none":
        return data
    if packing == "blocks":
        return b"".join(gzip.compress(data[start : start + 64]) for start in range(0, len(data), 64))
    if packing == "first 100 bytes":
        return gzip.compress(data[:100]) + gzip.compress(data[100:])
    if packing == "empty ones":
        return gzip.compress(b"") * 5 + gzip.compress(data[:500]) + gzip.compress(b"") + gzip.compress(data[500:])
    return gzip.compress(data) + bytes(100 if packing == "zeros behind" else 0)


def file_of(case: Case) -> bytes:
    slope, intercept = case.scale
    fields = {"scl_slope": slope, "scl_inter": intercept, **forms_of(case)}
    with np.errstate(all="ignore"):
        return packed(nifti_with(values_of(case), version=case.version, order=case.order, **fields), case.packing)


def difference_from_nibabel(case: Case) -> str:
    """Why our picture differs from nibabel's; "" if it should not."""
    return "nibabel uses a singular sform" if case.forms == "singular sform" else ""


def difference_from_itk(case: Case) -> str:
    """Why our picture differs from SimpleITK's; "" if it should not."""
    reasons = {
        "ITK mirrors axes of negative pixdim, which nifti1.h does not allow; we take its size, as nibabel": (
            case.pixdim_sign < 0
        ),
        "without forms there is no orientation; we follow nibabel": case.forms == "none",
        "a NaN sform makes all directions of ITK NaN": case.forms == "NaN sform",
        "ITK keeps two of the three numbers of a direction of a 2-D image": len(case.shape) == 2,
        "ITK replaces NaN and infinity by 0": case.letters.startswith("f") and not case.is_finite,
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


@pytest.mark.parametrize(
    ("judge", "values", "difference", "least"),
    [("nibabel", nibabel_values, difference_from_nibabel, 150), ("SimpleITK", itk_values, difference_from_itk, 150)],
)
def test_pictures_are_those_of_other_software(
    judge: str, values: Any, difference: Any, least: int, tmp_path: Path
) -> None:
    verdicts: Counter[str] = Counter()
    for case in cases():
        data = file_of(case)
        # Not the same name: the library of ITK prefers image.nii to image.nii.gz, even if the latter is asked for.
        file = tmp_path / ("image.nii" if case.packing == "none" else "packed.nii.gz")
        file.write_bytes(data)
        found = verdict(data, file, values, case.axis, case.frame)
        explanation = difference(case) if found == "different" else ""
        assert found not in ("different", "refused") or explanation, case
        verdicts[f"explained ({explanation})" if explanation else found] += 1
    print(summary(judge, verdicts))
    assert verdicts["equal"] >= least
