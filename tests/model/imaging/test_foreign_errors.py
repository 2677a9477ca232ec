"""Whatever Pillow, pydicom, nibabel, pynrrd, tifffile, imagecodecs and their decoders raise becomes an InvalidInput."""

from functools import cache

import pytest

from model.errors import InvalidInput
from model.imaging.images import open_image
from model.imaging.rendering import Rendering
from tests.support.foreign_faults import Call, calls_during, failing, foreign_errors, raisable
from tests.support.image_files.reported_files import FILES
from tests.support.image_files.volumes import GREYS, HEAD, nifti, nrrd
from tests.support.samples import picture, saved

MAX_PIXELS = 1_000_000
REPORTED = (
    "d20_high_bit_15_stored_12.dcm", "d07_palette_16.dcm", "d06_voi_lut_fractional_slope.dcm",
    "d02_signed_modality_lut_impl_m2.dcm", "d16_seg_7x9x5.dcm", "d21_ybr_full_422_native.dcm",
    "c02_jpeg_rgb_adobe_called_ybr.dcm", "c03_ljpeg_rgb.dcm", "c04_j2k_mct_ybr_rct.dcm", "c10_jls_12.dcm",
    "c12_signed12_rle.dcm", "n07_one_member.nii.gz", "n12_oblique_40.nii",
    "i01_ztxt_2mb.png", "i03_grey16.png", "i04_cmyk.jpg", "i04_no_eoi.jpg", "i04_jpeg12.jpg", "j01_grey12.j2k",
    "j01_rgb.jp2", "o01.avif", "o01_animated.webp", "t01_bigtiff.tif", "t01_jp2k_33005.tif", "t01_jpeg_rgb.tif",
    "t01_lerc.tif", "t01_planar16.tif", "t01_tiled_lzw.tif", "t01_webp.tif", "t01_zstd.tif", "t03_f64.tif",
    "t03_palette.tif",
)  # fmt: skip
MADE = {
    "volume.nii": nifti(),
    "volume.nrrd": nrrd(HEAD, space="LPS", space_directions="(1,0,0) (0,1,0) (0,0,1)"),
    "stack.nrrd": nrrd(GREYS),
    "pages.tif": saved(picture(0), "TIFF", save_all=True, append_images=[picture(1)]),
    "picture.gif": saved(picture(0).convert("P"), "GIF"),
    "picture.bmp": saved(picture(0), "BMP"),
}
CASES = sorted([*REPORTED, *MADE])
READERS = {"DICOM": "d20_high_bit_15_stored_12.dcm", "NIfTI": "volume.nii", "NRRD": "volume.nrrd",
           "PNG": "i03_grey16.png", "TIFF": "t01_tiled_lzw.tif"}  # fmt: skip


class UnheardOfError(Exception):
    """An exception that no code can expect."""


@cache
def data_of(name: str) -> bytes:
    return MADE.get(name) or FILES[name].read_bytes()


def read(name: str) -> None:
    """Open a file, count its frames, check and decode its usual picture and its first frame."""
    file = open_image(data_of(name), max_pixels=MAX_PIXELS)
    file.frame_count(Rendering())
    for rendering in (Rendering(), Rendering(frame=0)):
        file.check(rendering)
        file.decode(rendering)


@cache
def calls_of(name: str) -> tuple[Call, ...]:
    """The calls into other packages while a file is read. The first reading also imports, so that it does not count."""
    read(name)
    return tuple(calls_during(lambda: read(name)))


def assert_named(error: InvalidInput) -> None:
    message = str(error)
    assert message[0].islower()
    assert "\n" not in message
    assert not message.endswith(".")


def fail_at(place: Call, error: BaseException, name: str) -> bool:
    """Whether a file is refused if one call fails; otherwise a second way has led to a picture."""
    try:
        with failing(place, error):
            read(name)
    except InvalidInput as refusal:
        assert_named(refusal)
        return True
    return False


@pytest.mark.parametrize("name", CASES)
def test_readers_call_other_packages(name: str) -> None:
    assert len(calls_of(name)) > 0


@pytest.mark.parametrize("name", CASES)
def test_a_failure_of_any_call_becomes_an_invalid_input(name: str) -> None:
    escaped = set()
    for place in calls_of(name):
        for error in (UnheardOfError("a payload"), MemoryError("a payload")):
            try:
                fail_at(place, error, name)
            except Exception as other:  # noqa: BLE001 (the test is about every exception)
                escaped.add(f"{type(other).__name__} from {place}")
    assert escaped == set()


@pytest.mark.parametrize("name", READERS.values(), ids=READERS)
def test_every_error_of_other_packages_becomes_an_invalid_input(name: str) -> None:
    first, *_, last = calls_of(name)
    refused = [fail_at(place, raisable(error), name) for place in (first, last) for error in foreign_errors()]
    assert any(refused)


@pytest.mark.parametrize("name", READERS.values(), ids=READERS)
def test_an_interrupt_is_not_an_error_of_the_file(name: str) -> None:
    with pytest.raises(KeyboardInterrupt):
        fail_at(calls_of(name)[-1], KeyboardInterrupt(), name)


def test_the_errors_of_all_packages_are_known() -> None:
    packages = {error.__module__.partition(".")[0] for error in foreign_errors()}
    assert {"PIL", "pydicom", "nibabel", "tifffile", "imagecodecs", "struct", "zlib"} <= packages
    assert len(foreign_errors()) > 60
