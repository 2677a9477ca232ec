"""Widening of the embeddings: more numbers per vector, equal cosines.

MedImageInsight has 1024 numbers per vector, and public notebooks and adapters rely on that. The model is
trained with fewer numbers per vector. Widening is the last step of the recipe.
"""

import numpy as np
import torch
from torch import nn

from model.encoders.medimageinsight import MedImageInsight

EMBEDDING_SIZE = 1024
SEED = 1024


def widening_matrix(rows: int) -> np.ndarray:
    """The fixed matrix that both projections are multiplied by.

    It is the Q of the QR decomposition of a normal matrix, transposed. Q is unique because R has a positive diagonal.

    Args:
        rows: size of the embeddings before, at most `EMBEDDING_SIZE`.

    Returns:
        (rows, EMBEDDING_SIZE) float64 with orthonormal rows, so that a product with it keeps lengths and cosines.
    """
    normal = np.random.default_rng(SEED).standard_normal((EMBEDDING_SIZE, rows))
    q, r = np.linalg.qr(normal)
    return np.asarray((q * np.sign(np.diag(r))).T)


def widen(model: MedImageInsight) -> None:
    """Multiply both projections of a model with the fixed matrix, in place."""
    matrix = torch.from_numpy(widening_matrix(model.image_projection.shape[1]))
    for name in ("image_projection", "text_projection"):
        projection = getattr(model, name)
        setattr(model, name, nn.Parameter((projection.double() @ matrix).to(projection.dtype), requires_grad=False))
