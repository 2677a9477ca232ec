"""The picture that Microsoft's healthcareai_toolkit sends to the endpoint for a DICOM file, written anew for the tests.

Source: github.com/microsoft/healthcareai-examples, package/healthcareai_toolkit, `data/io.py`, `data/manip.py` and the
defaults of `clients/medimage/medimageinsight.py`: SimpleITK's values, the percentiles 1 and 99, uint8 by truncation,
scikit-image's `resize` to 480 by 480 pixels with splines of order 3 and anti-aliasing, PNG in RGB.
"""

from pathlib import Path

import numpy as np
import SimpleITK as sitk
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from tests.support.samples import saved

SIDE = 480


def toolkit_png(file: Path) -> bytes:
    """The PNG file that the toolkit makes of the first frame of a monochrome DICOM file."""
    values = sitk.GetArrayFromImage(sitk.ReadImage(file)).astype(np.float32)[0]
    low, high = np.percentile(values, [1, 99])
    greys = ((np.clip(values, low, high) - low) / (high - low) * 255).astype(np.uint8)
    return saved(Image.fromarray(_resized(greys.astype(float)).astype(np.uint8)).convert("RGB"))


def _resized(greys: NDArray[np.float64]) -> NDArray[np.float64]:
    """What scikit-image's `resize` does with `mode="constant"`: pixels beyond the border are black."""
    factors = np.array(greys.shape) / SIDE
    smooth = ndimage.gaussian_filter(greys, np.maximum(0, (factors - 1) / 2), mode="grid-constant")
    resized = ndimage.zoom(smooth, 1 / factors, order=3, mode="grid-constant", grid_mode=True)
    clipped: NDArray[np.float64] = np.clip(resized, greys.min(), greys.max())
    return clipped
