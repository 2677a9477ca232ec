"""Which images stand in which batch: a function of the seed and the step, so a resumed training repeats it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from model.errors import TrainingError


@dataclass(frozen=True)
class Draw:
    """One place in a batch: which row, and the seed of everything random that happens to it."""

    row: int  # index into the rows
    seed: int


def derived_seed(*parts: object) -> int:
    """A seed of 63 bits that depends on nothing but these values."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def batch_shares(strata: Sequence[str], shares: Mapping[str, float]) -> dict[str, float]:
    """The share of a batch that each stratum gets; they add up to 1.

    Args:
        strata: each row's stratum (its source or its label, say).
        shares: stratum -> share. What is left goes to the strata that are not named, by their numbers of rows; if
            every stratum is named the shares are only weights of each other; with none named all are equal.

    Raises:
        TrainingError: a share is not positive, a name is no stratum, or the shares leave nothing for the others.
    """
    counts = {name: strata.count(name) for name in sorted(set(strata))}
    if unknown := set(shares) - set(counts):
        raise TrainingError(f"a share is given for {_listed(unknown)}, but the rows only have {_listed(set(counts))}")
    if any(share <= 0 for share in shares.values()):
        raise TrainingError("shares must be above 0; leave rows out of the data instead")
    if not shares:
        return dict.fromkeys(counts, 1 / len(counts))
    if len(shares) == len(counts):
        return {name: shares[name] / sum(shares.values()) for name in counts}
    left = 1 - sum(shares.values())
    if left <= 0:
        raise TrainingError(f"the shares add up to {1 - left:g}, which leaves nothing for the other strata")
    others = sum(count for name, count in counts.items() if name not in shares)
    return {name: shares.get(name, left * count / others) for name, count in counts.items()}


class BatchSampler:
    """Batches of draws, from any step on.

    Every stratum is gone through in shuffled order, again and again. How many of a batch a stratum gets is its share
    of the batch rounded up or down at random, so that the share is exact in the long run.
    """

    def __init__(
        self,
        strata: Sequence[str],
        shares: Mapping[str, float],
        *,
        batch_size: int,
        steps: int,
        seed: int,
        start: int = 0,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        """Args:
        strata: each row's stratum.
        shares: of every stratum, see `batch_shares`.
        batch_size: of all ranks together.
        steps: batches in all, the ones before `start` included.
        seed: of the whole training.
        start: the first step that is wanted.
        rank: whose part of each batch is wanted, of `ranks`.
        """
        if batch_size % ranks:
            raise TrainingError(f"a batch of {batch_size} cannot be shared evenly by {ranks} processes")
        names = sorted(set(strata))
        self._members = [np.flatnonzero(np.array([stratum == name for stratum in strata])) for name in names]
        self._ends = np.cumsum([shares[name] for name in names])
        self._batch_size, self._steps, self._seed, self._start = batch_size, steps, seed, start
        each = batch_size // ranks
        self._part = slice(rank * each, (rank + 1) * each)

    def __len__(self) -> int:
        return self._steps - self._start

    def __iter__(self) -> Iterator[list[Draw]]:
        orders = [self._order(number, members) for number, members in enumerate(self._members)]
        for step in range(self._steps):
            counts = self._counts(step)
            rows = [row for order, count in zip(orders, counts, strict=True) for row in islice(order, int(count))]
            if step >= self._start:
                draws = [Draw(row, derived_seed(self._seed, "draw", step, place)) for place, row in enumerate(rows)]
                shuffled = np.random.default_rng(derived_seed(self._seed, "places", step)).permutation(len(draws))
                yield [draws[place] for place in shuffled[self._part]]

    def _counts(self, step: int) -> NDArray[np.int64]:
        """Systematic sampling: evenly spaced points behind one random start, counted by stratum."""
        start = np.random.default_rng(derived_seed(self._seed, "counts", step)).random()
        points = (np.arange(self._batch_size) + start) / self._batch_size
        chosen = np.searchsorted(self._ends, points * self._ends[-1], side="right")
        return np.bincount(np.minimum(chosen, len(self._ends) - 1), minlength=len(self._ends))

    def _order(self, number: int, members: NDArray[np.int64]) -> Iterator[int]:
        rng = np.random.default_rng(derived_seed(self._seed, "order", number))
        while True:
            yield from rng.permutation(members).tolist()


def _listed(names: set[str]) -> str:
    shown = sorted(names)[:6]
    return ", ".join(repr(name) for name in shown) + (" ..." if len(names) > len(shown) else "")
