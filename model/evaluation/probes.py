"""Simple models on frozen embeddings: nearest neighbours, logistic regression and ridge regression."""

import warnings
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from model.errors import ManifestError
from model.evaluation.options import NEIGHBOURS
from model.evaluation.statistics.folds import fold_of_rows
from model.evaluation.statistics.metrics import Flags, Floats, Rankings, macro
from model.optional_dependencies import extra

Features = NDArray[np.float32]

VOTE_TEMPERATURE = 0.07  # weight of a vote: exp(-cosine distance / temperature), as in Wu et al. (2018)
PENALTIES = (0.001, 0.01, 0.1)  # scikit-learn's C on embeddings of unit variance; a larger C is a weaker penalty
RIDGE_PENALTIES = tuple(10.0**power for power in range(-1, 6))
MOST_ITERATIONS = 200


def neighbour_scores(train: Features, train_truth: Flags, features: Features, neighbours: int = NEIGHBOURS) -> Floats:
    """Share of the votes of the nearest train rows, by cosine distance, for each label: (n, L), from 0 to 1.

    Args:
        train: (m, D), unit norm, embeddings of the train rows.
        train_truth: (m, L), the labels of the train rows.
        features: (n, D), unit norm, embeddings of the rows to score.
        neighbours: number of train rows that vote.
    """
    search = extra("sklearn.neighbors").NearestNeighbors(
        n_neighbors=min(neighbours, len(train)), metric="cosine", algorithm="brute"
    )
    distances, rows = search.fit(train).kneighbors(features)
    votes = np.exp(-distances.astype(np.float64) / VOTE_TEMPERATURE)
    shares: Floats = (votes[:, :, None] * train_truth[rows]).sum(axis=1) / votes.sum(axis=1, keepdims=True)
    return shares


def linear_probe_scores(
    train: Features,
    train_truth: Flags,
    train_groups: Sequence[Hashable],
    features: Features,
    *,
    one_label: bool,
    seed: int = 0,
) -> Floats:
    """Probabilities of the labels from logistic regression with balanced classes: (n, L).

    The penalty is that of `PENALTIES` with the best macro AUC on a fifth of the training groups. These groups are held
    out for that choice; the final fit uses all train rows.

    Args:
        train: (m, D), embeddings of the train rows.
        train_truth: (m, L), the labels of the train rows.
        train_groups: m groups, such as patients.
        features: (n, D), embeddings of the rows to score.
        one_label: True for one multinomial model, where each row has one label. False for one model per label.
        seed: seed of the choice of the held-out groups.

    Raises:
        ManifestError: the train rows have fewer than two labels.
    """
    if np.logical_and(train_truth.any(axis=0), ~train_truth.all(axis=0)).sum() < (2 if one_label else 1):
        raise ManifestError("a fit needs rows of at least two labels; with cross-validation, outside of each fold")
    held_out = fold_of_rows(train_groups, train_truth, seed) == 0
    best = max(
        PENALTIES,
        key=lambda penalty: _macro_auc(
            train_truth[held_out],
            _logistic(train[~held_out], train_truth[~held_out], train[held_out], penalty, one_label),
        ),
    )
    return _logistic(train, train_truth, features, best, one_label)


def ridge_predictions(train: Features, train_values: Floats, features: Features) -> Floats:
    """A number for each embedding, (n,), from the ridge regression of `fit_ridge`.

    Args:
        train: (m, D), embeddings of the train rows.
        train_values: (m,), their numbers.
        features: (n, D), embeddings of the rows to predict.

    Raises:
        ManifestError: there are fewer than two train rows.
    """
    fitted = fit_ridge(train, train_values)
    predicted: Floats = features.astype(np.float64) @ fitted.weights + fitted.bias
    return predicted


@dataclass(frozen=True)
class Ridge:
    """A ridge regression: `weights` (D,) and `bias` for embeddings as they are, and the penalty of its fit."""

    weights: Floats
    bias: float
    penalty: float


def fit_ridge(train: Features, train_values: Floats) -> Ridge:
    """Fit a ridge regression on standardised embeddings, with the penalty that is best by leave-one-out.

    Args:
        train: (m, D), embeddings of the train rows.
        train_values: (m,), their numbers.

    Raises:
        ManifestError: there are fewer than two train rows.
    """
    if len(train) < 2:
        raise ManifestError("a fit needs at least two rows with a number; with cross-validation, outside of each fold")
    scaler = extra("sklearn.preprocessing").StandardScaler().fit(train)
    ridge = extra("sklearn.linear_model").RidgeCV(alphas=RIDGE_PENALTIES)
    ridge.fit(scaler.transform(train).astype(np.float64), train_values)
    weights = ridge.coef_ / scaler.scale_
    return Ridge(weights, float(ridge.intercept_ - weights @ scaler.mean_), float(ridge.alpha_))


def _logistic(train: Features, truth: Flags, features: Features, penalty: float, one_label: bool) -> Floats:
    scores = np.zeros((len(features), truth.shape[1]))
    if not len(features) or truth.any(axis=0).sum() < (2 if one_label else 1):
        return scores
    scaler = extra("sklearn.preprocessing").StandardScaler().fit(train)
    scaled, scaled_features = scaler.transform(train), scaler.transform(features)
    if one_label:
        model = _fitted(scaled, truth.argmax(axis=1), penalty)
        scores[:, model.classes_] = model.predict_proba(scaled_features)
        return scores
    for label in range(truth.shape[1]):
        if truth[:, label].any() and not truth[:, label].all():
            scores[:, label] = _fitted(scaled, truth[:, label], penalty).predict_proba(scaled_features)[:, 1]
    return scores


def _fitted(features: Features, classes: NDArray[Any], penalty: float) -> Any:
    model = extra("sklearn.linear_model").LogisticRegression(
        C=penalty, class_weight="balanced", max_iter=MOST_ITERATIONS
    )
    # Thousands of small products: beside other work on the machine, the threads of BLAS mostly wait for each other.
    with extra("threadpoolctl").threadpool_limits(1, user_api="blas"), warnings.catch_warnings():
        warnings.simplefilter("ignore", extra("sklearn.exceptions").ConvergenceWarning)
        return model.fit(features, classes)


def _macro_auc(truth: Flags, scores: Floats) -> float:
    if not len(truth):
        return 0.0
    areas = Rankings(truth, scores)(np.ones(len(truth), dtype=np.int64))["auc"]
    return float(np.nan_to_num(macro(areas)))
