"""A server whose device hangs at the first text: `python -m tests.support.servers.hanging_server`."""

from model.engine import EmbeddingEngine
from tests.support.held_engine import HeldEngine
from tests.support.servers.altered_server import serve_with


def held(engine: EmbeddingEngine) -> HeldEngine:
    holding = HeldEngine(engine)
    holding.hold()
    return holding


if __name__ == "__main__":
    serve_with(held)
