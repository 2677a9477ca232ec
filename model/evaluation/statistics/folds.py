"""Parts of rows that keep each group whole, so that nothing is judged on a patient that it has learnt from."""

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from model.evaluation.statistics.metrics import Flags, Floats, Ints

FOLDS = 5


def fold_of_rows(groups: Sequence[Hashable], truth: Flags, seed: int, folds: int = FOLDS) -> Ints:
    """(n,) the fold of each row, 0 to `folds` - 1: groups of like labels are dealt out in turn, in a random order."""
    first_rows: dict[Hashable, int] = {}
    for row, group in enumerate(groups):
        first_rows.setdefault(group, row)
    chance = np.random.default_rng(seed).permutation(len(first_rows))
    dealt = sorted(
        zip(first_rows, chance, strict=True), key=lambda pair: (truth[first_rows[pair[0]]].tobytes(), pair[1])
    )
    fold_of_group = {group: place % folds for place, (group, _) in enumerate(dealt)}
    return np.array([fold_of_group[group] for group in groups], dtype=np.int64)


def out_of_fold(learn_and_score: Callable[[Ints, Ints], Floats], fold_of_row: Ints) -> Floats:
    """Scores of all rows, each by what was learnt from the other folds' rows.

    Args:
        learn_and_score: takes the rows to learn from and the rows to score, returns one line a row to score.
        fold_of_row: (n,).
    """
    parts = {}
    for fold in np.unique(fold_of_row):
        scored = np.flatnonzero(fold_of_row == fold)
        parts[fold] = (scored, learn_and_score(np.flatnonzero(fold_of_row != fold), scored))
    scores = np.zeros((len(fold_of_row), *next(iter(parts.values()))[1].shape[1:]))
    for rows, part in parts.values():
        scores[rows] = part
    return scores
