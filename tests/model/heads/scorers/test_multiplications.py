"""What a scorer costs: multiplications per embedding."""

import numpy as np
import pytest
import torch

from model.heads.scorers.azure_adapter import AzureAdapterScorer, build_azure_layers
from model.heads.scorers.layers import LayersScorer, build_layers
from model.heads.scorers.scorer import Scorer, Tensors
from model.heads.scorers.svm import SvmScorer
from model.heads.scorers.zero_shot import ZeroShotScorer

SIZE, LABELS, SUPPORT_VECTORS = 8, 3, 50
VECTORS = np.ones((LABELS, SIZE), np.float32)
SIGMOID: Tensors = {name: torch.zeros(LABELS) for name in ("slope", "offset", "bias")}
RBF: Tensors = {
    **SIGMOID,
    "support_vectors": torch.zeros(SUPPORT_VECTORS, SIZE),
    "scale": torch.ones(SIZE),
    "gamma": torch.tensor(1.0),
    "dual_coefficients": torch.zeros(LABELS, SUPPORT_VECTORS),
}


@pytest.mark.parametrize(
    ("scorer", "count"),
    [
        pytest.param(ZeroShotScorer(VECTORS, None, 1.0), 24, id="a text per label"),
        pytest.param(ZeroShotScorer(VECTORS, VECTORS, 1.0), 48, id="a text and a negative per label"),
        pytest.param(LayersScorer(build_layers((SIZE, LABELS)), "softmax"), 27, id="a layer"),
        pytest.param(LayersScorer(build_layers((SIZE, 100, LABELS)), "softmax"), 1203, id="a hidden layer"),
        pytest.param(SvmScorer({**SIGMOID, "weight": torch.zeros(LABELS, SIZE)}, "softmax"), 24, id="linear machines"),
        pytest.param(SvmScorer(RBF, "softmax"), 550, id="support vectors"),
    ],
)
def test_the_cost_is_that_of_the_parameters(scorer: Scorer, count: int) -> None:
    assert scorer.multiplications == count


def test_hidden_layers_cost_more_than_the_labels() -> None:
    scorer = AzureAdapterScorer(build_azure_layers(SIZE, 512, LABELS), "softmax")
    assert scorer.multiplications > 3 * 512**2
