"""The last step of the demonstration model's recipe: wider embeddings with equal cosines."""

from pathlib import Path

import numpy as np
from safetensors.numpy import load_file

from model.checkpoints.release_folder import DEMO_MODEL, find_release_folder
from model.engine import EmbeddingEngine
from recipes.demo_model.recipe import pack
from recipes.demo_model.widening import EMBEDDING_SIZE, widening_matrix
from tests.support.samples import image_vector, png, text_vector
from tests.support.tiny import write_release

TRAINED_SIZE = 256


def vectors(release: Path) -> np.ndarray:
    engine = EmbeddingEngine.load(release, device="cpu")
    images = [image_vector(engine, png(seed)) for seed in range(3)]
    return np.stack([*images, *(text_vector(engine, text) for text in ("chest", "chests", "a chest"))])


def test_packing_widens_the_embeddings_and_keeps_their_cosines(tmp_path: Path) -> None:
    trained = write_release(tmp_path / "trained")
    pack(trained, tmp_path / "packed")
    narrow, wide = vectors(trained), vectors(tmp_path / "packed")
    assert wide.shape == (6, EMBEDDING_SIZE)
    np.testing.assert_allclose(wide @ wide.T, narrow @ narrow.T, atol=2e-3)  # float16 rounds all weights


def test_the_rows_of_the_matrix_are_orthonormal_and_always_the_same() -> None:
    matrix = widening_matrix(TRAINED_SIZE)
    assert matrix.shape == (TRAINED_SIZE, EMBEDDING_SIZE)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(TRAINED_SIZE), atol=1e-12)
    np.testing.assert_allclose(
        matrix[0, :3], [-0.014569071754960028, 0.05215278315970541, 0.024092845958263526], atol=1e-12
    )
    np.testing.assert_allclose(matrix[-1, -2:], [0.010185721776544482, 0.005646789034564826], atol=1e-12)


def test_the_weights_of_the_demonstration_model_are_widened_by_this_matrix() -> None:
    weights = load_file(find_release_folder(DEMO_MODEL).weights)
    matrix = widening_matrix(TRAINED_SIZE)
    for key in ("image_projection", "lang_projection"):
        projection = weights[key].astype(np.float64)
        lost = projection - projection @ matrix.T @ matrix
        assert np.linalg.norm(lost) < 5e-4 * np.linalg.norm(projection)  # float16; another matrix loses 0.87
