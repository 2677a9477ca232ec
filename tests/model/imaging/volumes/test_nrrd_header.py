"""Every field of a NRRD header is used as the format defines it, or refused by its name."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.images import check, decode, frame_count
from model.imaging.rendering import Rendering, Window
from tests.support.image_files.volumes import COLOURS, GREYS, HEAD, nrrd

MAX_PIXELS = 10_000
WHOLE = Window(127.5, 255)
VOLUME = HEAD.T.copy()  # as `nrrd` takes it
AXIAL = HEAD[::-1, ::-1, 2].T  # the middle slice of `HEAD`, upright
IN_RAS = {"space": "RAS", "space_directions": "(1,0,0) (0,1,0) (0,0,1)"}


def rendered(data: bytes, **rendering: Any) -> NDArray[np.uint8]:
    """A slice, in a window that keeps values from 0 to 255."""
    return np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=Rendering(window=WHOLE, **rendering)))


def refused(data: bytes, kind: type[Exception], words: str) -> None:
    for function in (check, decode):
        with pytest.raises(kind, match=words) as error:
            function(data, max_pixels=MAX_PIXELS)
        assert "SECRET" not in str(error.value)


@pytest.mark.parametrize("magic", [b"NRRD0001", b"NRRD0005", b"NRRD0004\r", b"NRRD00.01"])
def test_all_versions_are_read(magic: bytes) -> None:
    data = nrrd(VOLUME, **IN_RAS).replace(b"NRRD0005", magic, 1)
    assert np.array_equal(rendered(data), AXIAL)


def test_comments_keys_and_unknown_fields_have_no_effect() -> None:
    extra = "domain domain domain\n# sizes: 1 1 1\ntype:=SECRET\nsizes of it:=9\nspacings: nan 0 -1\nSECRET"
    assert np.array_equal(rendered(nrrd(VOLUME, kinds=extra, **IN_RAS)), AXIAL)


def test_names_of_fields_and_values_may_be_in_capitals_and_lines_may_end_in_crlf() -> None:
    head, values = nrrd(VOLUME, **IN_RAS, Kinds="Domain SPACE domain").split(b"\n\n", 1)
    head = head.replace(b"encoding: raw", b"Encoding:RAW").replace(b"\n", b"\r\n")
    assert np.array_equal(rendered(head + b"\r\n\r\n" + values), AXIAL)


@pytest.mark.parametrize("directions", ["(1,0,0) (0,1,0) none", "(1,0,0) (0,1,0) (nan,nan,nan)"])
def test_an_axis_without_direction_counts_pictures(directions: str) -> None:
    data = nrrd(VOLUME, **{**IN_RAS, "space_directions": directions})
    for frame in range(5):  # upright, in the order of the file
        assert np.array_equal(rendered(data, frame=frame, axis="coronal"), HEAD[::-1, ::-1, frame].T)


@pytest.mark.parametrize("third", ["(0,0,1)", "(0,0,0)", "(0,0,-9)"])
def test_the_normal_stands_in_for_the_direction_across_one_slice(third: str) -> None:
    data = nrrd(VOLUME[:1], **{**IN_RAS, "space_directions": f"(1,0,0) (0,1,0) {third}"})
    assert np.array_equal(rendered(data, axis="sagittal"), HEAD[::-1, ::-1, 0].T)
    assert frame_count(data, max_pixels=MAX_PIXELS, rendering=Rendering(axis="sagittal")) == 1


def test_a_picture_in_space_is_upright() -> None:
    plane = {"space": "RAS", "space_directions": "(1,0,0) (0,0,1)"}
    assert np.array_equal(rendered(nrrd(VOLUME[0], **plane)), HEAD[::-1, ::-1, 0].T)


def test_an_axis_whose_direction_is_in_time_counts_volumes() -> None:
    series = np.stack([VOLUME, VOLUME + 7], axis=-1)
    timed = {"space": "RAST", "space_directions": "(0,0,0,1) (1,0,0,0) (0,1,0,0) (0,0,1,0)"}
    assert np.array_equal(rendered(nrrd(series, **timed)), AXIAL)


@pytest.mark.parametrize(
    ("shape", "kinds"),
    [
        ((5, 4, 6, 1), "vector domain domain domain"),
        ((5, 4, 6, 1), "scalar domain domain domain"),
        ((1, 1, 5, 4, 6), "domain domain domain domain domain"),
        ((1, 5, 4, 6), "domain domain domain time"),
        ((5, 4, 6, 1), "domain domain domain domain"),
    ],
)
def test_axes_of_size_1_do_not_count(shape: tuple[int, ...], kinds: str) -> None:
    assert np.array_equal(rendered(nrrd(VOLUME.reshape(shape), kinds=kinds)), VOLUME[2])


def test_colours_with_alpha_are_shown_without_it() -> None:
    with_alpha = np.concatenate([COLOURS, COLOURS[..., :1]], axis=3)
    assert np.array_equal(rendered(nrrd(with_alpha, kinds="RGBA-color domain domain domain")), COLOURS[1])


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"encoding": "ascii"}, "encoding is not supported"),
        ({"encoding": "SECRET"}, "encoding is not supported"),
        ({"line_skip": "1"}, "skips lines or bytes"),
        ({"byteskip": "-1"}, "skips lines or bytes"),
        ({"byte_skip": "SECRET"}, "skips lines or bytes"),
        ({"type": "block", "block size": "4"}, "type is not supported"),
        ({"kinds": "3-vector domain domain"}, "other than 8-bit RGB"),
        ({"kinds": "RGB-color domain domain"}, "other than 8-bit RGB"),
        ({"kinds": "domain RGB-color domain"}, "other than 8-bit RGB"),
        ({"kinds": "vector domain vector", "sizes": "3 1 3"}, "other than 8-bit RGB"),
        ({"kinds": "vector domain domain", "sizes": "3 4 6", "type": "short"}, "other than 8-bit RGB"),
        ({"kinds": "RGBA-color domain domain", "sizes": "3 4 4"}, "other than 8-bit RGB"),
        ({"dimension": "5", "sizes": "2 2 2 2 3"}, "two to four dimensions"),
        ({"kinds": "RGB-color domain scalar", "sizes": "3 16 1"}, "two to four dimensions"),
    ],
)
def test_variants_that_are_not_read_are_refused(fields: dict[str, str], words: str) -> None:
    refused(nrrd(**fields), ImageFormatUnsupported, words)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"sizes": "6 -4 2"}, "size must be at least 1"),
        ({"sizes": "6 0 2"}, "size must be at least 1"),
        ({"sizes": "6 nan 2"}, "size must be at least 1"),
        ({"sizes": "6 4.5 2"}, "size must be at least 1"),
        ({"sizes": "6 4"}, "dimension and sizes contradict each other"),
        ({"dimension": "2"}, "dimension and sizes contradict each other"),
        ({"dimension": "1", "sizes": "6"}, "dimension must be a number from 2 to 16"),
        ({"dimension": "9" * 5000}, "dimension must be a number from 2 to 16"),
        ({"dimension": "SECRET"}, "dimension must be a number from 2 to 16"),
        ({"dimension": "20000", "sizes": "999999999 " * 20_000}, "dimension must be a number from 2 to 16"),
        ({"dimension": "50000", "sizes": "999999999 " * 50_000}, "within its first 262,144 bytes"),
        ({"kinds": "domain"}, "kinds must be as many as its axes"),
        ({"space_directions": "(1,0,0)"}, "space directions must be as many as its axes"),
        ({"space_directions": "(1,0,0) " * 30_000}, "space directions must be as many as its axes"),
        ({"space_directions": "(" * 200_000}, "space directions must be vectors"),
        ({"space_directions": "(1,0,0) (0,1,SECRET) (0,0,1)"}, "space directions must be vectors"),
        ({"space_directions": "(1,0) (0,1) (inf,1)"}, "space directions must be vectors"),
        ({"space_directions": "(1,0,0) (0,nan,0) (0,0,1)"}, "space directions must be vectors"),
        ({"space_directions": "(1,0,0) (0,1) (0,0,1)"}, "space directions must be vectors"),
        ({"space": "LPS", "space_directions": "(1,0) (0,1) (1,1)"}, "must have three numbers each"),
        ({"space": "LPS", "space_directions": "(0,0,0) (0,0,0) (0,0,0)"}, "are zero or lie in one plane"),
        ({"space": "LPS", "space_directions": "(1,0,0) (0,1,0) (1,1,0)"}, "are zero or lie in one plane"),
        ({"space": "LPS", "space_directions": "(1,0,0) (2,0,0) none"}, "are zero or lie in one plane"),
        ({"type": "short", "endian": "SECRET"}, "endian must be little or big"),
        ({"type": "short", "endian": ""}, "lacks the field endian"),
        ({"type": ""}, "lacks the field type"),
        ({"sizes": ""}, "lacks the field sizes"),
        ({"dimension": ""}, "lacks the field dimension"),
        ({"encoding": ""}, "lacks the field encoding"),
        ({"kinds": "domain domain domain\nsizes: 6 4 1"}, "contains the field sizes twice"),
    ],
)
def test_fields_that_cannot_be_used_are_refused_by_their_name(fields: dict[str, str], words: str) -> None:
    refused(nrrd(**fields), ImageDecodeError, words)


def test_a_header_without_fields_and_an_unknown_version_are_refused() -> None:
    refused(b"NRRD0004\n", ImageDecodeError, "lacks the field encoding")
    refused(nrrd(GREYS).replace(b"NRRD0005", b"NRRD0009"), ImageFormatUnsupported, "version is not supported")
