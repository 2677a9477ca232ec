"""Shared fixtures: a small release folder with pseudo-random weights, an engine, and an application that serves it."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

# Set before torch is imported, as `app.inference.model_loader` does. Otherwise small models spend most of their time in
# the barriers of OpenMP.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import httpx
import pytest
from fastapi import FastAPI

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import PREFIX, Settings
from model.engine import EmbeddingEngine
from tests.parity.make_checkpoint import make_checkpoint

IMAGES = Path(__file__).parent / "parity" / "images"


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by their parameter: their content may differ between workers, as gzip writes the time."""
    return argname if isinstance(val, bytes) else None


@pytest.fixture(scope="session")
def small_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A release folder in the layout of the released model, with a small model of pseudo-random weights."""
    return make_checkpoint("small", tmp_path_factory.mktemp("small"))


@pytest.fixture(scope="session")
def engine(small_release: Path) -> EmbeddingEngine:
    return EmbeddingEngine.load(small_release, device="cpu")


@pytest.fixture
def app(engine: EmbeddingEngine) -> FastAPI:
    """The application with the small model, ready as soon as it starts."""
    return create_app(Settings(), LoadedModel(engine, imports_s=0.0))


@pytest.fixture
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP client that calls `app` in this process."""
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            yield client


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Remove every setting from the environment, so that no test depends on the shell that started it."""
    for name in Settings.model_fields:
        for variable in (name.upper(), PREFIX + name.upper()):
            monkeypatch.delenv(variable, raising=False)
    # Applications in this process decode in threads, which start sooner. Servers that a test starts have processes.
    monkeypatch.setenv("DECODE_WORKERS", "0")
