"""The command `medimageinsight` with an engine that a test has altered."""

from collections.abc import Callable

import app.cli.main
import app.inference.model_loader
from app.inference.model_loader import LoadedModel, load_engine
from app.settings import Settings
from model.engine import EmbeddingEngine


def serve_with(alter: Callable[[EmbeddingEngine], EmbeddingEngine]) -> None:
    """Run `medimageinsight` with the engine that `alter` returns for the loaded one."""

    def load_altered_engine(settings: Settings) -> LoadedModel:
        loaded = load_engine(settings)
        return LoadedModel(alter(loaded.engine), loaded.imports_s)

    app.inference.model_loader.load_engine = load_altered_engine
    app.cli.main.main()
