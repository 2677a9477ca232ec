"""Retrieval metrics against values computed by hand."""

import numpy as np
import pytest

from model.evaluation.retrieval import PromptQueries, image_queries, text_queries
from tests.support.colour_engine import unit


def angles(*degrees: float) -> np.ndarray:
    radians = np.radians(degrees)
    return np.stack([np.cos(radians), np.sin(radians)], axis=1).astype(np.float32)


def test_image_to_image_by_hand() -> None:
    """The query at 0 degrees ranks 10 (other label), 20 (same), 30 (same): precision 1/2 and 2/3 at relevant images."""
    truth = np.eye(2, dtype=bool)[[0, 1, 0, 0]]
    values = image_queries(angles(0, 10, 20, 30), truth, [None] * 4)
    assert values["mean_average_precision"][0] == pytest.approx((1 / 2 + 2 / 3) / 2)
    assert values["precision@1"][0] == 0
    assert values["precision@5"][0] == pytest.approx(2 / 5)
    assert values["recall@5"][0] == 1
    assert values["hit@1"].tolist()[2:] == [0, 1]
    assert np.isnan(values["hit@1"][1])  # no other image has its label


def test_images_of_the_querys_group_are_not_searched() -> None:
    truth = np.eye(2, dtype=bool)[[0, 0, 1, 0]]
    values = image_queries(angles(0, 1, 20, 40), truth, ["a", "a", None, None])
    assert values["hit@1"][0] == 0
    assert values["mean_average_precision"][0] == pytest.approx(1 / 2)


def test_text_to_image_by_hand() -> None:
    relevant = np.array([[False, True, False], [True, False, False]])
    values = text_queries(angles(0, 90), angles(80, 60, 5), relevant)
    assert values["mean_average_precision"].tolist() == [0.5, 1.0]
    assert values["recall@1"].tolist() == [0, 1]


def test_a_weight_counts_as_that_many_images() -> None:
    rng = np.random.default_rng(0)
    similarity, relevant, weights = (
        rng.random((3, 20)).astype(np.float32),
        rng.random((3, 20)) < 0.4,
        rng.integers(0, 4, 20).astype(float),
    )
    relevant[:, 0] = weights[0] = 1
    repeated = np.repeat(np.arange(20), weights.astype(int))
    whole = PromptQueries(similarity[:, repeated], relevant[:, repeated])(np.ones(len(repeated), dtype=np.int64))
    weighted = PromptQueries(similarity, relevant)(weights)
    for cutoff in (1, 5, 10):
        assert weighted[f"precision@{cutoff}"] == pytest.approx(whole[f"precision@{cutoff}"])
        assert weighted[f"recall@{cutoff}"] == pytest.approx(whole[f"recall@{cutoff}"])


def test_prompt_queries_without_weights_are_text_queries() -> None:
    rng = np.random.default_rng(1)
    texts, features = unit(rng.standard_normal((4, 5))), unit(rng.standard_normal((30, 5)))
    relevant = rng.random((4, 30)) < 0.3
    one = PromptQueries(texts @ features.T, relevant)(np.ones(30, dtype=np.int64))
    other = text_queries(texts, features, relevant)
    assert one.keys() == other.keys()
    for name in one:
        assert one[name] == pytest.approx(other[name])
