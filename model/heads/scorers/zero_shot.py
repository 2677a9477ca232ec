"""Zero-shot scorer: cosines between an image and the texts of each label, through a softmax.

Radford et al. 2021, "Learning Transferable Visual Models From Natural Language Supervision", section 3.1.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import torch

from model.errors import HeadError
from model.evaluation.zero_shot import zero_shot_scores
from model.heads.scorers.scorer import Activation, Features, Scores, Tensors, require_names, require_shape

MAX_LOGIT_SCALE = 100  # CLIP's is at most 4.6; the exponential of 710 is infinite


@dataclass(frozen=True)
class ZeroShotScorer:
    """Scores images for labels from the embeddings of the labels' texts.

    Args:
        present: (L, D) float32, unit norm: one vector per label.
        absent: (L, D) float32, unit norm: vectors of the texts that state a label's absence; None without such texts.
        logit_scale: the model's log temperature.
    """

    present: Features
    absent: Features | None
    logit_scale: float

    @property
    def embedding_size(self) -> int:
        return int(self.present.shape[1])

    @property
    def label_count(self) -> int:
        return len(self.present)

    @property
    def has_negatives(self) -> bool:
        return self.absent is not None

    @cached_property
    def multiplications(self) -> int:
        return self.present.size + (0 if self.absent is None else self.absent.size)

    def scores(self, features: Features, *, each_label_by_itself: bool) -> Scores:
        present, absent = self._vectors
        return zero_shot_scores(features, present, absent, self.logit_scale, one_label=not each_label_by_itself)

    def tensors(self) -> Tensors:
        arrays = {"present": self.present, "absent": self.absent, "logit_scale": np.array(self.logit_scale, np.float64)}
        return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items() if array is not None}

    @classmethod
    def from_tensors(cls, tensors: Tensors, activation: Activation) -> Self:  # noqa: ARG003 (as the other kinds)
        require_names(tensors, {"present", "logit_scale"}, frozenset({"absent"}))
        require_shape(tensors, "present", (None, None))
        require_shape(tensors, "logit_scale", ())
        if tensors["logit_scale"] > MAX_LOGIT_SCALE:
            raise HeadError(f"the tensor logit_scale must be at most {MAX_LOGIT_SCALE}")
        absent = tensors.get("absent")
        if absent is not None:
            require_shape(tensors, "absent", tuple(tensors["present"].shape))
        return cls(
            tensors["present"].float().numpy(),
            None if absent is None else absent.float().numpy(),
            float(tensors["logit_scale"]),
        )

    @cached_property
    def _vectors(self) -> tuple[Scores, Scores | None]:
        """The vectors of presence and of absence in float64, so that a request does not convert them."""
        return self.present.astype(np.float64), None if self.absent is None else self.absent.astype(np.float64)
