"""Random damage to files of every kind gives a picture or an invalid input, and takes no longer than the whole file."""

import random
import time
from contextlib import suppress

import pytest

from model.errors import InvalidInput
from tests.support.image_files.bombs.corpus import PARAMETERS, decode_with
from tests.support.image_files.hostile_corpus import damaged, image_files

SEEDS, DAMAGES_PER_FILE = range(6), 1
MAX_CPU_S = 2.0


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
