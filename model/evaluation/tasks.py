"""Tasks of an evaluation: from embedded rows to scored labels, retrieval metrics or predicted numbers."""

from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from model.embedder import Embedder
from model.errors import ManifestError
from model.evaluation.classification import Classification
from model.evaluation.labels import Labels, truth_of
from model.evaluation.probes import linear_probe_scores, neighbour_scores, ridge_predictions
from model.evaluation.prompts import Prompts
from model.evaluation.retrieval import PromptQueries, image_queries, text_queries
from model.evaluation.rows import EmbeddedRows, number_of, text_of
from model.evaluation.statistics.folds import fold_of_rows, out_of_fold
from model.evaluation.statistics.metrics import Flags, Floats, Ints, Measure, RowValues
from model.evaluation.statistics.thresholds import youden_threshold
from model.evaluation.zero_shot import label_features, zero_shot_scores


def zero_shot(
    embedder: Embedder, test_rows: EmbeddedRows, labels: Labels, prompts: Prompts, train_rows: EmbeddedRows | None
) -> Classification:
    """Classify by the prompts of the labels.

    If rows may have several labels, each label needs a threshold. It is 0.5 if every label has prompts for its absence.
    Otherwise it is chosen on the train rows by Youden's J; without train rows it is NaN.
    """
    label_prompts = [prompts[label] for label in labels.names]
    present = label_features(embedder, [entry.present for entry in label_prompts])
    absent = None
    if not labels.one_label and all(entry.absent for entry in label_prompts):
        absent = label_features(embedder, [entry.absent for entry in label_prompts])

    def score(features: NDArray[np.float32]) -> Floats:
        return zero_shot_scores(features, present, absent, embedder.logit_scale, one_label=labels.one_label)

    thresholds = None
    if absent is not None:
        thresholds = np.full(len(labels.names), 0.5)
    elif not labels.one_label:
        thresholds = np.full(len(labels.names), np.nan)
        if train_rows is not None and train_rows.rows:
            thresholds = _youden(truth_of(train_rows.rows, labels), score(train_rows.features))
    return Classification(labels.names, truth_of(test_rows.rows, labels), score(test_rows.features), thresholds)


def nearest_neighbours(
    test_rows: EmbeddedRows, train_rows: EmbeddedRows, labels: Labels, neighbours: int, seed: int
) -> Classification:
    """Classify by the votes of the nearest train rows; a label's threshold is its share of the train rows.

    Without train rows, the test rows are scored by cross-validation.

    Raises:
        ManifestError: there are no train rows, and the test rows have fewer than two groups.
    """
    truth = truth_of(test_rows.rows, labels)
    if train_rows.rows:
        train_truth = truth_of(train_rows.rows, labels)
        scores = neighbour_scores(train_rows.features, train_truth, test_rows.features, neighbours)
    else:
        train_truth = truth
        scores = out_of_fold(
            lambda learn, score: neighbour_scores(
                test_rows.features[learn], truth[learn], test_rows.features[score], neighbours
            ),
            _folds(test_rows, truth, seed),
        )
    thresholds = None if labels.one_label else np.where(train_truth.any(axis=0), train_truth.mean(axis=0), np.nan)
    return Classification(labels.names, truth, scores, thresholds)


def linear_probe(test_rows: EmbeddedRows, train_rows: EmbeddedRows, labels: Labels, seed: int) -> Classification:
    """Classify by logistic regression. Its classes are balanced, so a label's threshold is 0.5.

    Without train rows, the test rows are scored by cross-validation.

    Raises:
        ManifestError: the rows to learn from have one label, or the test rows have fewer than two groups.
    """
    truth = truth_of(test_rows.rows, labels)

    def learn_and_score(
        learn: NDArray[np.float32], learn_truth: Flags, groups: list[Hashable], score: NDArray[np.float32]
    ) -> Floats:
        return linear_probe_scores(learn, learn_truth, groups, score, one_label=labels.one_label, seed=seed)

    if train_rows.rows:
        scores = learn_and_score(
            train_rows.features, truth_of(train_rows.rows, labels), train_rows.whole_groups, test_rows.features
        )
    else:
        groups = test_rows.whole_groups
        scores = out_of_fold(
            lambda learn, score: learn_and_score(
                test_rows.features[learn], truth[learn], [groups[row] for row in learn], test_rows.features[score]
            ),
            _folds(test_rows, truth, seed),
        )
    return Classification(labels.names, truth, scores, None if labels.one_label else np.full(len(labels.names), 0.5))


def image_to_image(test_rows: EmbeddedRows, labels: Labels) -> Measure:
    """Retrieval by an image: images of other groups that share a label with it.

    Raises:
        ManifestError: no image shares a label with an image of another group.
    """
    values = image_queries(test_rows.features, truth_of(test_rows.rows, labels), test_rows.whole_groups)
    if not np.isfinite(values["mean_average_precision"]).any():
        raise ManifestError("no image shares a label with an image of another group")
    return RowValues(values)


def prompt_to_image(embedder: Embedder, test_rows: EmbeddedRows, labels: Labels, prompts: Prompts) -> Measure:
    """Retrieval by prompts: one query per label for the images with that label."""
    queries = label_features(embedder, [prompts[label].present for label in labels.names])
    return PromptQueries(queries @ test_rows.features.T, truth_of(test_rows.rows, labels).T)


def text_to_image(embedder: Embedder, test_rows: EmbeddedRows) -> Measure:
    """Retrieval by text: one query per row for its image and all images with the same text."""
    texts = [text_of(row) for row in test_rows.rows]
    distinct = list(dict.fromkeys(texts))
    number = {text: place for place, text in enumerate(distinct)}
    text_of_row = np.array([number[text] for text in texts])
    values = text_queries(
        embedder.texts(distinct), test_rows.features, text_of_row[None] == np.arange(len(distinct))[:, None]
    )
    return RowValues({name: value[text_of_row] for name, value in values.items()})


def regression(
    test_rows: EmbeddedRows, train_rows: EmbeddedRows, target: str, seed: int
) -> tuple[Floats, Floats, Floats]:
    """Ridge regression of a column of numbers.

    Without train rows, the test rows are predicted by cross-validation.

    Returns:
        True values, predictions, and the median of the train rows as a naive prediction; (n,) each.

    Raises:
        ManifestError: there are fewer than two rows to learn from, or, for cross-validation, fewer than two groups.
    """
    truth = target_values(test_rows, target)
    if train_rows.rows:
        train_values = target_values(train_rows, target)
        predicted = ridge_predictions(train_rows.features, train_values, test_rows.features)
        return truth, predicted, np.full(len(truth), np.median(train_values))

    def learn(rows: Ints, scored: Ints) -> Floats:
        fitted = ridge_predictions(test_rows.features[rows], truth[rows], test_rows.features[scored])
        return np.stack([fitted, np.full(len(scored), np.median(truth[rows]))], axis=1)

    both = out_of_fold(learn, _folds(test_rows, np.zeros((len(truth), 1), dtype=np.bool_), seed))
    return truth, both[:, 0], both[:, 1]


def target_values(rows: EmbeddedRows, target: str) -> Floats:
    """The numbers in a column, (n,)."""
    return np.array([number_of(row.columns.get(target, "")) for row in rows.rows])


def _folds(test_rows: EmbeddedRows, truth: Flags, seed: int) -> Ints:
    """The fold of each test row, (n,)."""
    groups = test_rows.whole_groups
    if len(set(groups)) < 2:
        raise ManifestError(
            "without train rows, the test rows must be of at least two groups (patients), or different images"
        )
    return fold_of_rows(groups, truth, seed)


def _youden(truth: Flags, scores: Floats) -> Floats:
    found = [youden_threshold(truth[:, label], scores[:, label]) for label in range(truth.shape[1])]
    return np.array([np.nan if one is None else one.threshold for one in found])
