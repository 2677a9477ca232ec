"""Bootstrap over whole groups, because rows of one patient are not independent.

It is the Bayesian bootstrap of Rubin (1981), Annals of Statistics 9: a draw gives every group a random weight above 0.
Draws of groups with replacement would lose rare labels: the draws' average would be one over other labels than the
estimate's, and the interval could miss the estimate.
"""

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np

from model.evaluation.options import DEFAULT_SAMPLES
from model.evaluation.statistics.intervals import MetricEstimate, Support, correct
from model.evaluation.statistics.metrics import Flags, Floats, Measure

GRAINS = 1024  # weights are multiples of 1 / GRAINS: their sums are exact, and a perfect score is 1 in every draw


class Resampling:
    """Random weights of groups.

    Args:
        groups: n groups; a row with None is a group of its own.
        samples: number of draws.
        seed: seed of the draws; the same groups and seed give the same draws.
        on_draw: called after each draw, for a progress bar; default: nothing.
    """

    def __init__(
        self,
        groups: Sequence[Hashable | None],
        samples: int = DEFAULT_SAMPLES,
        seed: int = 0,
        on_draw: Callable[[], object] = lambda: None,
    ) -> None:
        keys = [("row", number) if group is None else ("group", group) for number, group in enumerate(groups)]
        numbers = {key: number for number, key in enumerate(dict.fromkeys(keys))}
        self._group_of_row = np.array([numbers[key] for key in keys], dtype=np.int64)
        self.groups, self.rows, self.samples, self.seed = len(numbers), len(keys), samples, seed
        self._on_draw = on_draw

    def weights(self) -> Iterator[Floats]:
        """For each draw, the weight of each row, (n,): above 0, and equal in a group. Every call gives the same draws.

        The weights of the groups have the mean 1, up to rounding.
        """
        rng = np.random.default_rng(self.seed)
        for _ in range(self.samples):
            draw = rng.dirichlet(np.ones(self.groups)) * self.groups
            yield (np.ceil(draw * GRAINS) / GRAINS)[self._group_of_row]
            self._on_draw()

    def groups_among(self, inside: Flags) -> int:
        """Number of groups among the rows that are marked in `inside`, (n,)."""
        return len(np.unique(self._group_of_row[inside]))

    def support(self, truth: Flags, inside: Flags | None = None) -> Support:
        """The groups that each label rests on.

        Args:
            truth: (n, L), the labels of each row.
            inside: (n,), the rows to count; default: all.
        """
        rows = np.ones(self.rows, dtype=np.bool_) if inside is None else inside
        counts, owners = [], []
        for label in truth.T:
            sides = [np.unique(self._group_of_row[rows & side]) for side in (label, ~label)]
            fewest = min((side for side in sides if len(side)), key=len, default=sides[0])
            counts.append(len(fewest))
            owners.append(fewest[0] if len(fewest) else -1)
        return Support(self.groups_among(rows), np.array(counts, dtype=np.int64), np.array(owners, dtype=np.int64))

    def estimate(self, measure: Measure) -> dict[str, MetricEstimate]:
        """Metrics of `measure` with 95 % intervals."""
        values, draws = measure(np.ones(self.rows)), [measure(draw) for draw in self.weights()]
        corrected = correct(values, draws, self.support(measure.truth), [self.seed], measure.yes_or_no)
        return {name: drawn.estimate(0, measure.most) for name, drawn in corrected.items()}
