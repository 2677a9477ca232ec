"""A server whose device hangs on the first text that it is asked for: `python -m tests.app.hanging_server`."""

from model.engine import EmbeddingEngine
from tests.app.altered_server import serve_with
from tests.app.held_engine import HeldEngine


def held(engine: EmbeddingEngine) -> HeldEngine:
    holding = HeldEngine(engine)
    holding.hold()
    return holding


if __name__ == "__main__":
    serve_with(held)
