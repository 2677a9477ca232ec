"""Head: labels, and something that maps an embedding to a score per label."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, TypeGuard

from model.data.text_lines import is_encodable
from model.errors import HeadError
from model.heads.scorers.scorer import Activation, Features, Scorer, Scores
from model.imaging.preprocessing import Preprocessing

Kind = Literal["zero_shot", "linear", "mlp", "svm", "azure_adapter"]
Call = Literal["positive", "possible", "negative"]
Thresholds = Mapping[str, Mapping[str, Any]]
LABELS_RULE = "a list of different texts, at least one, each of them not blank and possible to encode in UTF-8"


@dataclass(frozen=True)
class Head:
    """A classifier on embeddings, or a regression of one number.

    Attributes:
        kind: what the scorer is.
        labels: the labels, in the order of the scores; the name of the number for a regression.
        activation: softmax: exactly one label per image; sigmoid: any number; identity: a regression.
        scorer: maps embeddings to scores.
        model: `name` and `weights_sha256` of the model whose embeddings the head takes.
        preprocessing: how the images that the head classifies are preprocessed.
        thresholds: per label, `sensitivity_90` (highest threshold with a sensitivity of at least 90 %) and `youden`
            (the threshold that maximises Youden's J). Each has the sensitivity and specificity that it reached on the
            validation rows. None replaces a threshold that these rows do not define.
        details: how the head was made: prompts and template, or options and results of the training.
    """

    kind: Kind
    labels: tuple[str, ...]
    activation: Activation
    scorer: Scorer
    model: Mapping[str, Any]
    preprocessing: Preprocessing = Preprocessing()  # noqa: RUF009 (frozen)
    thresholds: Thresholds = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)

    @property
    def is_regression(self) -> bool:
        """Whether the scores are values of a number."""
        return self.activation == "identity"

    def scores(self, features: Features, *, multi_label: bool | None = None) -> Scores:
        """Scores (n, L) of embeddings.

        Args:
            features: (n, D), unit norm.
            multi_label: True scores each label by itself, False lets the scores of the labels sum up to 1. None, the
                default, does what the head was made for.

        Raises:
            HeadError: the embeddings have another size, or the head has no such scores.
        """
        if features.shape[-1] != self.scorer.embedding_size:
            raise HeadError(
                f"the head takes embeddings of {self.scorer.embedding_size} numbers, not of {features.shape[-1]}"
            )
        return self.scorer.scores(features, each_label_by_itself=self._each_label_by_itself(multi_label))

    def check_multi_label(self, multi_label: bool | None) -> None:
        """Raise HeadError if the head has no such scores; see `scores`."""
        self._each_label_by_itself(multi_label)

    def _each_label_by_itself(self, multi_label: bool | None) -> bool:
        """Whether the scorer is asked for the presence of each label against its absence."""
        if multi_label is None:
            return False
        if self.is_regression:
            raise HeadError("the head predicts a number and has no labels; leave multi_label out")
        if multi_label == (self.activation == "sigmoid"):
            return False
        if multi_label and self.scorer.has_negatives:
            return True
        if self.kind == "zero_shot":
            raise HeadError("the head has no texts for absence, which multi_label needs; leave multi_label out")
        scores = "exactly one label" if self.activation == "softmax" else "any number of labels"
        raise HeadError(f"the head was trained for {scores} per image; leave multi_label out")

    def check_model(self, name: str, weights_sha256: str) -> None:
        """Raise HeadError if the head was made with other weights than those of the model `name`."""
        if self.model.get("weights_sha256") != weights_sha256:
            made_with = self.model.get("name") or "another model"
            raise HeadError(
                f"the head was made with other weights than those of {name} ({made_with}, see head.json); "
                "make it again with this model"
            )

    def call(self, label: str, score: float) -> Call | None:
        """What a score means at the head's operating points; None without them.

        positive: at or above Youden's point; negative: at or below the 90 %-sensitivity point; possible: in between.
        """
        thresholds = self.thresholds.get(label, {})
        youden, sensitivity_90 = thresholds.get("youden"), thresholds.get("sensitivity_90")
        if youden is None or sensitivity_90 is None:
            return None
        if score >= youden["threshold"]:
            return "positive"
        return "negative" if score <= sensitivity_90["threshold"] else "possible"


def are_labels(labels: Any) -> TypeGuard[list[str]]:
    """Whether labels from a JSON file follow `LABELS_RULE`."""
    are_texts = isinstance(labels, list) and all(isinstance(label, str) and is_encodable(label) for label in labels)
    return are_texts and 0 < len(labels) == len(set(labels))
