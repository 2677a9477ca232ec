"""The pictures that nibabel, SimpleITK and pynrrd make of a volume, computed without the code under test.

A judge gives the values of the first time point along axes that rise to the patient's left, posterior and superior.
"""

import itertools
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import nrrd
import numpy as np
import SimpleITK as sitk
from nibabel.imageglobals import logger

from model.errors import InvalidInput
from model.imaging.images import decode
from model.imaging.rendering import Axis, Rendering

MAX_PIXELS = 10_000
sitk.ProcessObject.SetGlobalWarningDisplay(False)
logger.setLevel(60)  # nibabel writes about repaired headers; 60 is above "critical"


def nibabel_values(file: Path) -> Any:
    """(x, y, z) float64, from nibabel."""
    image = nibabel.load(file)
    values = np.asarray(image.dataobj)
    values = values.reshape([*values.shape, 1, 1][: max(3, values.ndim)])
    values = values.reshape([*values.shape[:3], -1])[..., 0]
    canonical = nibabel.as_closest_canonical(nibabel.Nifti1Image(values.astype(np.float64), image.affine))
    return np.asarray(canonical.dataobj)[::-1, ::-1]


def pynrrd_values(file: Path) -> Any:
    """(x, y, z) numbers or (x, y, z, 3) colours, from pynrrd; a file without orientation is as stored."""
    values, header = nrrd.read(str(file), index_order="F")
    kinds = list(header["kinds"])
    space = [axis for axis, kind in enumerate(kinds) if kind == "domain"]
    colours = [axis for axis, kind in enumerate(kinds) if kind == "RGB-color"]
    others = [axis for axis in range(values.ndim) if axis not in (*space, *colours)]
    values = values.transpose([*others, *space, *colours])[(0,) * len(others)]
    if len(space) == 2:
        values = np.expand_dims(values, 2)
    if "space" not in header:
        return values
    signs = {"right-anterior": (-1, -1, 1), "left-anterior": (1, -1, 1), "left-posterior": (1, 1, 1)}
    directions = header["space directions"][space] * signs[header["space"].removesuffix("-superior")]
    directions = directions / np.linalg.norm(directions, axis=1, keepdims=True)
    order = max(itertools.permutations(range(3)), key=lambda axes: np.abs(directions[axes, range(3)]).sum())
    values = values.transpose([*order, 3][: values.ndim])
    turned = tuple(number for number in range(3) if directions[order[number], number] < 0)
    return np.flip(values, turned)


def itk_values(file: Path) -> Any:
    """(x, y, z) numbers or (x, y, z, 3 or 4) colours, from SimpleITK."""
    image = sitk.ReadImage(str(file))
    while image.GetDimension() > 3:
        size = [*image.GetSize()[:-1], 0]
        image = sitk.Extract(image, size, [0] * len(size))
    if image.GetDimension() == 2:
        image = sitk.JoinSeries([image])
    values = sitk.GetArrayFromImage(sitk.DICOMOrient(image, "LPS"))
    if values.ndim == 4 and values.shape[3] == 2:  # ITK reads a series of NRRD volumes as one volume of vectors
        values = values[..., 0]
    return np.moveaxis(values, (0, 2), (2, 0))


def expected_picture(values: Any, axis: Axis, frame: int | None) -> Any:
    """The slice of a judge's values as the display convention turns it, with a window of percentiles."""
    number = {"sagittal": 0, "coronal": 1, "axial": 2}[axis]
    single = [one for one in range(3) if values.shape[one] == 1]
    number = single[0] if len(single) == 1 else number
    count = values.shape[number]
    index = count // 2 if frame is None else frame
    picture = np.take(values, index if number == 2 else count - 1 - index, axis=number)
    picture = np.swapaxes(picture, 0, 1)
    picture = picture if number == 2 else picture[::-1]
    return picture[..., :3] if picture.ndim > 2 else _greys(picture)


def _greys(picture: Any) -> Any:
    floats = picture.astype(np.float64)
    finite = floats[np.isfinite(floats)]
    for percentiles in ((0.5, 99.5), (0, 100)):
        low, high = np.percentile(finite, percentiles)
        if high > low:
            break
    else:
        return np.where(floats > low, 255.0, 0.0)
    return np.nan_to_num(np.clip((floats - low) * (255 / (high - low)), 0, 255))


def verdict(data: bytes, file: Path, judge: Callable[[Path], Any], axis: Axis, frame: int | None) -> str:
    """What a judge says about our picture of a file.

    Returns:
        "equal" within one grey level, "different", "refused" by us, "not read" by the judge, or "refused by both".
    """
    try:
        ours: Any = np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(frame=frame, axis=axis)), float)
    except InvalidInput:
        ours = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            theirs = expected_picture(judge(file), axis, frame)
    except Exception:  # noqa: BLE001 (the judges raise almost any exception)
        return "refused by both" if ours is None else "not read"
    if ours is None:
        return "refused"
    is_equal = ours.shape == theirs.shape and np.abs(ours - theirs).max() <= 1
    return "equal" if is_equal else "different"


def summary(judge: str, verdicts: "Counter[str]") -> str:
    """One line for the report of a test."""
    return f"{judge}: {verdicts.total()} compared, " + ", ".join(f"{count} {name}" for name, count in verdicts.items())
