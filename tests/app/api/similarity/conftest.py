"""A tiny engine instead of the small one: these tests embed many images, whose vectors need no meaning."""

import pytest

from model.engine import EmbeddingEngine
from tests.support.learnable import make_tiny_release


@pytest.fixture(scope="session")
def engine(tmp_path_factory: pytest.TempPathFactory) -> EmbeddingEngine:
    return EmbeddingEngine.load(make_tiny_release(tmp_path_factory.mktemp("tiny")), device="cpu")
