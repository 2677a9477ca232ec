"""Rows of DICOM and of volumes."""

from typing import Any

import numpy as np
from pydicom.uid import BreastTomosynthesisImageStorage, EnhancedCTImageStorage

from model.imaging.images import frame_count
from tests.docs.image_formats.rows import MAX_PIXELS, grey, row, shown
from tests.support.image_files.dicom import ct
from tests.support.image_files.volumes import HEAD, nifti, nrrd

DEEP = np.arange(0, 65536, 64, dtype=np.uint16).reshape(32, 32)


@row("DICOM, MONOCHROME1 or MONOCHROME2, of any depth, signed or unsigned")
def monochrome_has_any_depth() -> None:
    ramp = np.linspace(0, 1, 64).reshape(8, 8)
    for kind in (np.uint8, np.int8, np.uint16, np.int16, np.uint32, np.int32):
        limits = np.iinfo(kind)
        values = (limits.min + ramp * (float(limits.max) - limits.min) * 0.99).astype(kind)
        dark = grey(ct(values))
        assert (dark[0, 0], dark[-1, -1]) == (0, 255), kind
        assert (np.diff(dark.ravel().astype(int)) >= 0).all()
        assert (grey(ct(values, PhotometricInterpretation="MONOCHROME1")) == 255 - dark).all()


@row("DICOM, PALETTE COLOR, RGB, YBR")
def colours_have_the_upper_bits() -> None:
    colours = np.stack([DEEP, DEEP.T, DEEP[::-1]], axis=-1)
    elements = {"Rows": 32, "Columns": 32, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB"}
    for planar, samples in ((0, colours), (1, np.moveaxis(colours, -1, 0))):
        data = ct(DEEP, **elements, PlanarConfiguration=planar, PixelData=np.ascontiguousarray(samples).tobytes())
        assert (shown(data) == colours >> 8).all()
    bright = np.dstack([np.full((4, 4), 235, np.uint8), np.full((4, 4, 2), 128, np.uint8)])
    elements |= {"Rows": 4, "Columns": 4, "PhotometricInterpretation": "YBR_FULL", "PlanarConfiguration": 0}
    assert (shown(ct(bright[..., 0], **elements, PixelData=bright.tobytes())) == 235).all()
    table = (np.arange(256, dtype=np.uint16) * 257).tobytes()
    palette: dict[str, Any] = {"PhotometricInterpretation": "PALETTE COLOR"}
    for colour in ("Red", "Green", "Blue"):
        palette[f"{colour}PaletteColorLookupTableDescriptor"] = [256, 0, 16]
        palette[f"{colour}PaletteColorLookupTableData"] = table
    indices = np.arange(64, dtype=np.uint8).reshape(8, 8)
    assert (grey(ct(indices, **palette)) == indices).all()


@row("DICOM with several frames")
def a_frame_is_chosen() -> None:
    values = np.stack([np.full((4, 4), level, np.uint8) for level in (10, 20, 30, 40)])
    window = {"WindowCenter": 127.5, "WindowWidth": 255, "VOILUTFunction": "LINEAR_EXACT"}
    assert [int(grey(ct(values, **window), frame=frame)[0, 0]) for frame in (None, 2)] == [10, 30]
    for volume in (EnhancedCTImageStorage, BreastTomosynthesisImageStorage):
        assert int(grey(ct(values, **window, SOPClassUID=volume))[0, 0]) == 30


@row("NIfTI, NRRD")
def a_slice_is_shown() -> None:
    directions = {"space": "RAS", "space_directions": "(1,0,0) (0,1,0) (0,0,1)"}
    slices = HEAD.shape[2]
    for data in (nifti(), nrrd(HEAD.T.copy(), **directions)):
        assert frame_count(data, max_pixels=MAX_PIXELS) == slices
        assert (grey(data) == grey(data, frame=slices // 2)).all()
        assert grey(data).shape == (HEAD.shape[1], HEAD.shape[0])
