"""The preprocessing version names the pixels: whoever changes them increases the version, and notes the new digest."""

import hashlib
from collections.abc import Iterator

from model.imaging.images import decode
from model.imaging.preprocessing import PREPROCESSING_VERSION, Standardization, preprocess
from tests.conftest import IMAGES
from tests.support.image_files.dicom import HOUNSFIELD, ct
from tests.support.image_files.raster import gradient
from tests.support.image_files.volumes import nifti, nrrd
from tests.support.samples import saved

# Version -> digest of all pixels. Never change an entry: add one, and increase PREPROCESSING_VERSION.
DIGESTS = {1: "348ed60da5af4efbe5e2334955e8d243a7428417f1bee952f68b141265e2c58c"}


def files() -> Iterator[bytes]:
    """Files of each kind whose pixels are made in a way of their own."""
    yield from (file.read_bytes() for file in sorted(IMAGES.iterdir()))
    for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "I;16"):
        yield saved(gradient("L").convert("I").convert(mode) if mode == "I;16" else gradient().convert(mode))
    for kind in ("JPEG", "GIF", "BMP", "TIFF", "WEBP", "JPEG2000"):
        yield saved(gradient(), kind)
    yield from (ct(HOUNSFIELD), ct(HOUNSFIELD, PhotometricInterpretation="MONOCHROME1"), nifti(), nrrd())


def test_pictures_that_change_have_a_new_version() -> None:
    digest = hashlib.sha256()
    for data in files():
        picture = decode(data, max_pixels=10_000_000)
        for standardization in (Standardization(), None):
            digest.update(preprocess(picture, (64, 48), standardization).tobytes())
    assert DIGESTS.get(PREPROCESSING_VERSION) == digest.hexdigest(), (
        "the pixels of an image changed: increase PREPROCESSING_VERSION and add its digest to DIGESTS"
    )
