"""L2 normalisation of vectors on the host."""

import numpy as np
from numpy.typing import NDArray


def unit_norm(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide each vector by its L2 norm.

    Args:
        vectors: (D,) or (n, D), float32; no vector is zero.

    Returns:
        An array of the same shape, float32, whose vectors have unit norm.
    """
    normalised: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)
    return normalised
