"""Heads: their scores, what they refuse, and what a score means at their operating points."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import torch

from model.errors import HeadError
from model.heads.head import Head
from model.heads.scorers.layers import LayersScorer
from model.heads.scorers.scorer import Activation, Features
from model.heads.scorers.zero_shot import ZeroShotScorer

AXES: Features = np.eye(3, dtype=np.float32)
MODEL = {"name": "m", "weights_sha256": "0" * 64}


def zero_shot(absent: Features | None = None) -> Head:
    return Head("zero_shot", ("bone", "lung"), "softmax", ZeroShotScorer(AXES[:2], absent, 1.0), MODEL)


def linear(activation: Activation) -> Head:
    tensors = {"0.weight": torch.tensor([[1.0, 0, 0], [0, 2, 0]]), "0.bias": torch.zeros(2)}
    scorer = LayersScorer.from_tensors(tensors, activation)
    return Head("linear", ("bone", "lung"), activation, scorer, MODEL)


def test_zero_shot_scores_are_a_softmax_of_scaled_cosines() -> None:
    expected = np.exp([np.e, 0.0]) / np.exp([np.e, 0.0]).sum()
    assert zero_shot().scores(AXES[:1]) == pytest.approx(np.array([expected]))
    assert zero_shot().scores(AXES).sum(axis=1) == pytest.approx(1)


def test_negatives_score_each_label_by_itself() -> None:
    absent: Features = AXES[[2, 2]]
    scores = zero_shot(absent).scores(AXES, multi_label=True)
    present_against_absent = 1 / (1 + np.exp(-np.e))
    assert scores == pytest.approx(
        np.array([[present_against_absent, 0.5], [0.5, present_against_absent], [1 - present_against_absent] * 2])
    )


@pytest.mark.parametrize("multi_label", [False, True])
def test_a_request_does_not_convert_the_label_vectors(multi_label: bool) -> None:
    vectors: Features = np.eye(400, dtype=np.float32)
    head = Head("zero_shot", tuple(map(str, range(400))), "softmax", ZeroShotScorer(vectors, vectors[::-1], 1.0), MODEL)
    head.scores(vectors[:1], multi_label=multi_label)  # the first one keeps them in float64
    tracemalloc.start()
    try:
        head.scores(vectors[:1], multi_label=multi_label)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < vectors.nbytes / 4


def test_a_trained_head_scores_as_it_was_trained() -> None:
    features: Features = AXES[1:2]
    assert linear("softmax").scores(features) == pytest.approx(np.array([[1, np.exp(2)]]) / (1 + np.exp(2)))
    assert linear("sigmoid").scores(features) == pytest.approx(1 / (1 + np.exp([[0.0, -2.0]])))
    assert linear("identity").scores(features).tolist() == [[0, 2]]


@pytest.mark.parametrize(
    ("head", "multi_label", "sentence"),
    [
        (zero_shot(), True, "no texts for absence"),
        (linear("softmax"), True, "trained for exactly one label per image"),
        (linear("sigmoid"), False, "trained for any number of labels per image"),
        (linear("identity"), True, "predicts a number"),
        (linear("identity"), False, "predicts a number"),
    ],
    ids=["no negatives", "softmax", "sigmoid", "regression, each label", "regression, one label"],
)
def test_scores_that_a_head_does_not_have_are_refused(head: Head, multi_label: bool, sentence: str) -> None:
    with pytest.raises(HeadError, match=sentence):
        head.check_multi_label(multi_label)
    with pytest.raises(HeadError, match=sentence):
        head.scores(AXES, multi_label=multi_label)


@pytest.mark.parametrize(("activation", "multi_label"), [("softmax", False), ("sigmoid", True)])
def test_what_a_head_was_made_for_may_be_asked_for(activation: Activation, multi_label: bool) -> None:
    head = linear(activation)
    assert (head.scores(AXES, multi_label=multi_label) == head.scores(AXES)).all()


def test_embeddings_of_another_size_are_refused() -> None:
    with pytest.raises(HeadError, match="embeddings of 3 numbers, not of 4"):
        zero_shot().scores(np.zeros((1, 4), np.float32))


def test_a_head_of_other_weights_is_refused_by_name() -> None:
    zero_shot().check_model("m", "0" * 64)
    with pytest.raises(HeadError, match=r"other weights than those of n \(m, see head.json\)"):
        zero_shot().check_model("n", "1" * 64)


def test_a_score_is_called_by_the_operating_points() -> None:
    points = {"youden": {"threshold": 0.7}, "sensitivity_90": {"threshold": 0.4}}
    head = replace(zero_shot(), thresholds={"bone": points, "lung": points | {"youden": None}})
    assert [head.call("bone", score) for score in (0.8, 0.7, 0.5, 0.4, 0.1)] == [
        "positive",
        "positive",
        "possible",
        "negative",
        "negative",
    ]
    assert head.call("lung", 0.8) is None
    assert zero_shot().call("bone", 0.8) is None
