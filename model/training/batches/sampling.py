"""Choice of the rows of each batch: a function of the seed and the step, so a resumed training repeats it."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from model.data.manifest import Row
from model.errors import TrainingError


@dataclass(frozen=True)
class Draw:
    """One row in a batch.

    Attributes:
        row: index into the rows.
        seed: seed of the row's random changes and of its choice of a text.
    """

    row: int
    seed: int


def derived_seed(*parts: object) -> int:
    """A seed of 63 bits that depends only on these values."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def strata_of(rows: Sequence[Row], column: str) -> list[str]:
    """The stratum of each row: its value in a column. Without a column, all rows are of the stratum "".

    Raises:
        TrainingError: no row has a value in the column.
    """
    if not column:
        return [""] * len(rows)
    strata = [row.label if column == "label" else row.columns.get(column, "") for row in rows]
    if not any(strata):
        raise TrainingError(f"no row has a value in the column {column!r} of sample_by")
    return strata


def batch_shares(strata: Sequence[str], shares: Mapping[str, float]) -> dict[str, float]:
    """The share of each stratum in a batch; the shares add up to 1.

    Args:
        strata: the stratum of each row, such as its source or its label.
        shares: stratum -> share. The other strata divide the rest in proportion to their numbers of rows. If all
            strata have a share, the shares are scaled to add up to 1. If none has, all strata get equal shares.

    Raises:
        TrainingError: a share is not positive, is for an unknown stratum, or nothing is left for the other strata.
    """
    counts = {name: strata.count(name) for name in sorted(set(strata))}
    if unknown := set(shares) - set(counts):
        raise TrainingError(f"the shares name {_listed(unknown)}, which no row has in the column of sample_by")
    if any(share <= 0 for share in shares.values()):
        raise TrainingError("a share must be above 0; to leave out a stratum, remove its rows from the data")
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
    """Batches of draws, starting at any step.

    The rows of a stratum are drawn in random order; when all have been drawn, a new random order starts. The number of
    a stratum's rows in a batch is its share of the batch, rounded up or down at random. Its mean over many batches is
    the exact share.

    Args:
        strata: the stratum of each row.
        shares: the share of every stratum, as `batch_shares` returns them.
        batch_size: number of rows per batch, over all processes.
        steps: number of batches, including those before `start`.
        seed: seed of the training.
        start: first step to return.
        rank: number of this process, from 0; it gets its part of each batch.
        ranks: number of processes.

    Raises:
        TrainingError: `batch_size` is not a multiple of `ranks`.
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
        if batch_size % ranks:
            raise TrainingError(f"a batch of {batch_size} cannot be divided evenly among {ranks} processes")
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
        """Number of rows per stratum, by systematic sampling: evenly spaced points after one random start."""
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
