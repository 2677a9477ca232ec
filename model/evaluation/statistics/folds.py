"""Cross-validation that keeps each group in one fold: no row is scored by a model that was fitted on its patient."""

from collections.abc import Callable, Hashable, Sequence

import numpy as np

from model.evaluation.statistics.metrics import Flags, Floats, Ints

FOLDS = 5


def fold_of_rows(groups: Sequence[Hashable], truth: Flags, seed: int, folds: int = FOLDS) -> Ints:
    """The fold of each row, (n,), from 0 to `folds` - 1.

    Groups with the same labels are assigned to the folds in turn, in random order. A group has the labels of its first
    row here.

    Args:
        groups: n groups.
        truth: (n, L), the labels of each row.
        seed: seed of the random order.
        folds: number of folds.
    """
    first_rows: dict[Hashable, int] = {}
    for row, group in enumerate(groups):
        first_rows.setdefault(group, row)
    random_order = np.random.default_rng(seed).permutation(len(first_rows))
    ordered = sorted(
        zip(first_rows, random_order, strict=True), key=lambda pair: (truth[first_rows[pair[0]]].tobytes(), pair[1])
    )
    fold_of_group = {group: place % folds for place, (group, _) in enumerate(ordered)}
    return np.array([fold_of_group[group] for group in groups], dtype=np.int64)


def out_of_fold(learn_and_score: Callable[[Ints, Ints], Floats], fold_of_row: Ints) -> Floats:
    """Scores of all n rows, each from a fit to the rows of the other folds.

    Args:
        learn_and_score: function of the rows to learn from and the rows to score, as arrays of row numbers. Returns
            one score, or one array of scores, per row to score.
        fold_of_row: (n,), the fold of each row.
    """
    parts = {}
    for fold in np.unique(fold_of_row):
        scored = np.flatnonzero(fold_of_row == fold)
        parts[fold] = (scored, learn_and_score(np.flatnonzero(fold_of_row != fold), scored))
    scores = np.zeros((len(fold_of_row), *next(iter(parts.values()))[1].shape[1:]))
    for rows, part in parts.values():
        scores[rows] = part
    return scores
