"""Damaged files of every kind give a picture or an invalid input at little cost; files cut short, no other picture."""

import random
import time
from contextlib import suppress

import numpy as np
import pytest

from model.errors import InvalidInput
from model.imaging.images import decode
from tests.support.image_files.bombs.corpus import PARAMETERS, decode_with
from tests.support.image_files.hostile_corpus import damaged, image_files
from tests.support.image_files.reported_files import FILES, PICTURES, rendering_of, tolerance_of

SEEDS, DAMAGES_PER_FILE = range(6), 1
MAX_CPU_S, MAX_PIXELS = 2.0, 1_000_000


@pytest.mark.filterwarnings("ignore")  # Pillow warns about damaged metadata
@pytest.mark.parametrize("seed", SEEDS)
def test_damage_gives_a_picture_or_an_invalid_input(seed: int) -> None:
    chance = random.Random(seed)
    parameters = sorted(PARAMETERS)
    for number, data in enumerate(image_files() * DAMAGES_PER_FILE):
        with suppress(InvalidInput):
            decode_with(parameters[number % len(parameters)], damaged(data, chance))


@pytest.mark.timing
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("parameter", PARAMETERS)
def test_damage_makes_no_file_expensive(parameter: str) -> None:
    chance = random.Random(parameter)
    for data in image_files():
        start = time.process_time()
        with suppress(InvalidInput):
            decode_with(parameter, damaged(data, chance))
        assert time.process_time() - start < MAX_CPU_S


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("share", [0.5, 0.9, 0.99, 0.999])
def test_a_file_cut_short_never_gives_another_picture(share: float) -> None:
    refused = 0
    for name in PICTURES:
        data, rendering = FILES[name].read_bytes(), rendering_of(name)
        right = np.asarray(decode(data, max_pixels=MAX_PIXELS, rendering=rendering)).astype(int)
        try:
            shown = decode(
                data[: min(int(len(data) * share), len(data) - 1)], max_pixels=MAX_PIXELS, rendering=rendering
            )
        except InvalidInput:
            refused += 1
        else:
            assert np.abs(np.asarray(shown) - right).max() <= tolerance_of(name), name
    assert refused > len(PICTURES) / 2
