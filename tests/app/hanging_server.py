"""A server whose device hangs on the first text that it is asked for: `python -m tests.app.hanging_server`."""

import app.cli
import app.model_loader
from app.model_loader import Loaded, load_engine
from app.settings import Settings
from tests.app.held_engine import HeldEngine


def load_held_engine(settings: Settings) -> Loaded:
    loaded = load_engine(settings)
    engine = HeldEngine(loaded.engine)
    engine.hold()
    return Loaded(engine, loaded.imports_s)


if __name__ == "__main__":
    app.model_loader.load_engine = load_held_engine
    app.cli.main()
