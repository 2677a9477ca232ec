"""Files made after public fault reports get their right picture, or an error that names what is wrong."""

import re
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from model.imaging.formats import ImageFile
from model.imaging.images import open_image
from tests.support.image_files.reported_files import (
    DECISIONS,
    FILES,
    MISSING_FRAMES,
    PICTURES,
    REFUSALS,
    Refusal,
    pictures_of,
    refusal_of,
    rendering_of,
    tolerance_of,
)

MAX_PIXELS = 1_000_000
MAX_WORDS = 50  # of a message: one sentence, perhaps with a half-sentence of advice


def opened(name: str) -> ImageFile:
    return open_image(FILES[name].read_bytes(), max_pixels=MAX_PIXELS)


def frame_of(file: ImageFile, name: str, number: int | None) -> NDArray[np.uint8]:
    """One picture as it reaches the encoder, (H, W, 3)."""
    return np.asarray(file.decode(replace(rendering_of(name), frame=number)).convert("RGB"))


def assert_refused(refusal: Refusal, name: str, number: int | None = None) -> None:
    with pytest.raises(refusal.error) as error:
        frame_of(opened(name), name, number)
    message = str(error.value)
    assert re.search(refusal.words, message), message
    assert message[0].islower()
    assert not message.endswith(".")
    assert len(message.split()) <= MAX_WORDS, message


@pytest.mark.parametrize("name", PICTURES)
def test_a_reported_file_gives_its_right_picture(name: str) -> None:
    file = opened(name)
    usual = frame_of(file, name, None)
    pictures = pictures_of(name, height=len(usual))
    count = file.frame_count(rendering_of(name))
    assert count > len(pictures) if name in MISSING_FRAMES else count == len(pictures)
    for number, right in enumerate(pictures):
        shown = frame_of(file, name, number) if count > 1 else usual
        assert shown.shape == right.shape
        assert np.abs(shown.astype(int) - right).max() <= tolerance_of(name), f"frame {number}"


@pytest.mark.parametrize("name", [name for name in FILES if refusal_of(name)])
def test_a_reported_file_without_a_right_picture_is_refused_by_what_is_wrong(name: str) -> None:
    refusal = refusal_of(name)
    assert refusal is not None
    assert_refused(refusal, name)


@pytest.mark.parametrize("name", MISSING_FRAMES)
def test_frames_that_a_reported_file_only_announces_are_refused(name: str) -> None:
    file = opened(name)
    held = len(pictures_of(name, height=len(frame_of(file, name, 0))))
    for number in range(held, file.frame_count(rendering_of(name))):
        assert_refused(MISSING_FRAMES[name], name, number)


def test_every_reported_file_has_a_picture_or_a_refusal() -> None:
    refused = {name for name in FILES if refusal_of(name)}
    assert set(PICTURES) ^ refused == set(FILES)
    assert {*REFUSALS, *DECISIONS, *MISSING_FRAMES} <= set(FILES)
