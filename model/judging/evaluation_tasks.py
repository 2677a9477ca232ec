"""The tasks of an evaluation, each from embedded rows to scores, predictions or found images."""

from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from model.errors import ManifestError
from model.judging.bootstrap import Measure
from model.judging.classification import Classification, zero_shot_scores
from model.judging.embedder import Embedder
from model.judging.evaluation_data import EmbeddedRows, Labels, truth_of
from model.judging.folds import fold_of_rows, out_of_fold
from model.judging.metrics import Flags, Floats, Ints, RowValues
from model.judging.probes import linear_probe_scores, neighbour_scores, ridge_predictions
from model.judging.prompts import Prompts, label_features
from model.judging.retrieval import PromptQueries, image_queries, text_queries
from model.judging.thresholds import youden_threshold

ZERO_SHOT, NEIGHBOUR_VOTE, LINEAR_PROBE = "zero-shot", "knn", "linear-probe"
CLASSIFICATION_TASKS = (ZERO_SHOT, NEIGHBOUR_VOTE, LINEAR_PROBE)


def zero_shot(
    embedder: Embedder, judged: EmbeddedRows, labels: Labels, prompts: Prompts, known: EmbeddedRows | None
) -> Classification:
    """Classify by the labels' prompts.

    With several labels a row, the thresholds are 0.5 where every label has prompts for its absence; otherwise they are
    chosen on the known rows (Youden's J), and without such rows there are none.
    """
    asked = [prompts[label] for label in labels.names]
    present = label_features(embedder, [entry.present for entry in asked])
    absent = None
    if not labels.one_label and all(entry.absent for entry in asked):
        absent = label_features(embedder, [entry.absent for entry in asked])

    def score(features: NDArray[np.float32]) -> Floats:
        return zero_shot_scores(features, present, absent, embedder.logit_scale, one_label=labels.one_label)

    thresholds = None
    if absent is not None:
        thresholds = np.full(len(labels.names), 0.5)
    elif not labels.one_label:
        thresholds = np.full(len(labels.names), np.nan)
        if known is not None and known.rows:
            thresholds = _youden(truth_of(known.rows, labels), score(known.features))
    return Classification(labels.names, truth_of(judged.rows, labels), score(judged.features), thresholds)


def nearest_neighbours(
    judged: EmbeddedRows, known: EmbeddedRows, labels: Labels, neighbours: int, seed: int
) -> Classification:
    """Classify by the labels of the nearest known rows; a label's threshold is its share of the known rows."""
    truth = truth_of(judged.rows, labels)
    if known.rows:
        known_truth = truth_of(known.rows, labels)
        scores = neighbour_scores(known.features, known_truth, judged.features, neighbours)
    else:
        known_truth = truth
        scores = out_of_fold(
            lambda learn, score: neighbour_scores(
                judged.features[learn], truth[learn], judged.features[score], neighbours
            ),
            fold_of_rows(judged.whole_groups, truth, seed),
        )
    thresholds = None if labels.one_label else np.where(known_truth.any(axis=0), known_truth.mean(axis=0), np.nan)
    return Classification(labels.names, truth, scores, thresholds)


def linear_probe(judged: EmbeddedRows, known: EmbeddedRows, labels: Labels, seed: int) -> Classification:
    """Classify by logistic regression with balanced classes, so that 0.5 is a label's threshold."""
    truth = truth_of(judged.rows, labels)

    def learn_and_score(
        learn: NDArray[np.float32], learn_truth: Flags, groups: list[Hashable], score: NDArray[np.float32]
    ) -> Floats:
        return linear_probe_scores(learn, learn_truth, groups, score, one_label=labels.one_label, seed=seed)

    if known.rows:
        scores = learn_and_score(known.features, truth_of(known.rows, labels), known.whole_groups, judged.features)
    else:
        groups = judged.whole_groups
        scores = out_of_fold(
            lambda learn, score: learn_and_score(
                judged.features[learn], truth[learn], [groups[row] for row in learn], judged.features[score]
            ),
            fold_of_rows(groups, truth, seed),
        )
    return Classification(labels.names, truth, scores, None if labels.one_label else np.full(len(labels.names), 0.5))


def image_to_image(judged: EmbeddedRows, labels: Labels) -> Measure:
    """Find images that share a label with an image, among those of other groups."""
    return RowValues(image_queries(judged.features, truth_of(judged.rows, labels), judged.groups))


def prompt_to_image(embedder: Embedder, judged: EmbeddedRows, labels: Labels, prompts: Prompts) -> Measure:
    """Find a label's images by its prompts; one query a label."""
    queries = label_features(embedder, [prompts[label].present for label in labels.names])
    return PromptQueries(queries @ judged.features.T, truth_of(judged.rows, labels).T)


def text_to_image(embedder: Embedder, judged: EmbeddedRows) -> Measure:
    """Find a row's image, and those with the same text, by its text; one query a row."""
    texts = [row.columns["text"].strip() for row in judged.rows]
    distinct = list(dict.fromkeys(texts))
    number = {text: place for place, text in enumerate(distinct)}
    text_of_row = np.array([number[text] for text in texts])
    values = text_queries(
        embedder.texts(distinct), judged.features, text_of_row[None] == np.arange(len(distinct))[:, None]
    )
    return RowValues({name: value[text_of_row] for name, value in values.items()})


def regression(judged: EmbeddedRows, known: EmbeddedRows, target: str, seed: int) -> tuple[Floats, Floats, Floats]:
    """A number from each embedding: true values, predictions, and the known rows' median as the naive prediction."""
    truth = target_values(judged, target)
    if known.rows:
        known_values = target_values(known, target)
        predicted = ridge_predictions(known.features, known_values, judged.features)
        return truth, predicted, np.full(len(truth), np.median(known_values))
    if len(set(judged.whole_groups)) < 2:
        raise ManifestError("a regression needs rows to learn from: a split train, or --train-data")

    def learn(rows: Ints, scored: Ints) -> Floats:
        fitted = ridge_predictions(judged.features[rows], truth[rows], judged.features[scored])
        return np.stack([fitted, np.full(len(scored), np.median(truth[rows]))], axis=1)

    both = out_of_fold(learn, fold_of_rows(judged.whole_groups, np.zeros((len(truth), 1), dtype=np.bool_), seed))
    return truth, both[:, 0], both[:, 1]


def target_values(rows: EmbeddedRows, target: str) -> Floats:
    return np.array([number_of(row.columns.get(target, "")) for row in rows.rows])


def number_of(text: str) -> float:
    """The number in a column, NaN if it is none."""
    try:
        number = float(text)
    except ValueError:
        return float("nan")
    return number if np.isfinite(number) else float("nan")


def _youden(truth: Flags, scores: Floats) -> Floats:
    found = [youden_threshold(truth[:, label], scores[:, label]) for label in range(truth.shape[1])]
    return np.array([np.nan if one is None else one.threshold for one in found])
