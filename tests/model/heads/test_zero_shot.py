"""Zero-shot heads made from texts: averages, templates, negatives, and what is refused."""

import numpy as np
import pytest

from model.engine_embedder import EngineEmbedder
from model.errors import HeadError, ManifestError
from model.evaluation.prompts import as_prompts
from model.heads.head import Head
from model.heads.scorers.zero_shot import ZeroShotScorer
from model.heads.zero_shot import make_zero_shot_head, require_labels, template_texts
from model.imaging.preprocessing import Preprocessing
from tests.support.colour_engine import ColourEngine

MODEL = {"name": "colours", "weights_sha256": "0" * 64}
PLAIN = Preprocessing(standardization=None)


def head(prompts: dict[str, object], template: str = "{}") -> Head:
    embedder = EngineEmbedder(ColourEngine)
    return make_zero_shot_head(embedder, as_prompts(prompts), template=template, model=MODEL, preprocessing=PLAIN)


def scorer_of(made: Head) -> ZeroShotScorer:
    assert isinstance(made.scorer, ZeroShotScorer)
    return made.scorer


def test_the_texts_of_a_label_are_averaged_and_normalised_again() -> None:
    made = head({"warm": ["red", "green"], "cold": "blue"})
    assert made.labels == ("warm", "cold")
    assert scorer_of(made).present == pytest.approx(np.array([[0.5**0.5, 0.5**0.5, 0], [0, 0, 1]]))
    assert made.scorer.has_negatives is False
    assert made.preprocessing == PLAIN
    assert made.model == MODEL


def test_it_scores_as_clip_does() -> None:
    red: np.ndarray = np.array([[1, 0, 0]], dtype=np.float32)
    expected = np.exp([np.exp(3.0), 0]) / np.exp([np.exp(3.0), 0]).sum()
    assert head({"a": "red", "b": "blue"}).scores(red)[0] == pytest.approx(expected)


def test_the_template_stands_around_every_text() -> None:
    assert template_texts([("red", "green"), ("blue",)], "a {} picture.") == [
        ("a red picture.", "a green picture."),
        ("a blue picture.",),
    ]
    made = head(
        {"warm": {"present": "red", "absent": "blue"}, "cold": {"present": "blue", "absent": "red"}}, template="no {}"
    )
    assert scorer_of(made).present.tolist() == [[-1, 0, 0], [0, 0, -1]]
    assert made.details["template"] == "no {}"
    assert made.details["prompts"]["warm"] == {"present": ("red",), "absent": ("blue",)}


@pytest.mark.parametrize("template", ["", "a picture", "{} or {}", "{0}"])
def test_a_template_needs_one_place_for_the_text(template: str) -> None:
    with pytest.raises(HeadError, match="exactly once"):
        head({"a": "red", "b": "blue"}, template=template)


def test_texts_for_the_absence_of_every_label_allow_scores_of_each_label_by_itself() -> None:
    made = head({"red": {"present": "red", "absent": "no red"}, "blue": {"present": "blue", "absent": "no blue"}})
    both: np.ndarray = np.array([[0.5**0.5, 0, 0.5**0.5]], dtype=np.float32)
    assert made.scores(both)[0] == pytest.approx([0.5, 0.5])
    assert made.scores(both, multi_label=True).min() > 0.99


def test_some_texts_for_absence_are_not_enough() -> None:
    made = head({"red": {"present": "red", "absent": "no red"}, "blue": "blue"})
    assert made.scorer.has_negatives is False


def test_a_single_label_needs_a_text_for_its_absence() -> None:
    with pytest.raises(HeadError, match="at least two labels"):
        head({"red": "red"})
    assert head({"red": {"present": "red", "absent": "no red"}}).scorer.has_negatives


def test_texts_that_cancel_each_other_are_refused() -> None:
    with pytest.raises(ManifestError, match="'red' and the others of its label cancel each other"):
        head({"a": ["red", "no red"], "b": "blue"})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ((), "there is no label"),
        (("a", " "), "label number 2 is empty"),
        (("a", "b", "a"), "label number 3 repeats the label 'a'"),
        (tuple(map(str, range(11))), "there are 11 labels, but MAX_LABELS is 10"),
    ],
    ids=["none", "empty", "doubled", "too many"],
)
def test_labels_that_cannot_be_used_are_refused(labels: tuple[str, ...], message: str) -> None:
    with pytest.raises(HeadError, match=message):
        require_labels(labels, 10)
    require_labels(("a", "b"), 10)
