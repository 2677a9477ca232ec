"""Pairwise sampling: few samples in which each possible pair of values of two parameters occurs."""

import random
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Sample = dict[str, Any]
Options = Callable[[Sample], Sequence[Any]]


def pairwise(parameters: Mapping[str, Options], *, together: Sequence[str], candidates: int, seed: int) -> list[Sample]:
    """Choose samples greedily: each time the candidate with the most pairs that no chosen one has.

    Args:
        parameters: per parameter, in order, a function from the values of the parameters before it to its possible
            values.
        together: parameters of which each possible combination of values occurs, like a pair.
        candidates: random samples to choose from. A pair counts as possible if one of them has it.
        seed: the same seed gives the same samples.
    """
    chance = random.Random(seed)
    samples = [_random_sample(parameters, chance) for _ in range(candidates)]
    pairs = _pair_numbers(samples, together)
    missing = np.zeros(pairs.max() + 1, dtype=bool)
    missing[pairs] = True
    chosen = []
    while missing.any():
        best = int(missing[pairs].sum(axis=1).argmax())
        missing[pairs[best]] = False
        chosen.append(samples[best])
    return chosen


def _random_sample(parameters: Mapping[str, Options], chance: random.Random) -> Sample:
    sample: Sample = {}
    for name, options in parameters.items():
        sample[name] = chance.choice(options(sample))
    return sample


def _pair_numbers(samples: Sequence[Sample], together: Sequence[str]) -> NDArray[np.int64]:
    """A number per pair of values and for the values of `together`, (samples, pairs + 1)."""
    numbers: dict[tuple[Any, ...], int] = {}
    rows = [
        [
            numbers.setdefault(values, len(numbers))
            for values in (*combinations(sample.items(), 2), tuple((name, sample[name]) for name in together))
        ]
        for sample in samples
    ]
    return np.array(rows)
