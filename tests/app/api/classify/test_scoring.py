"""Where scores are computed, and when they are written."""

import asyncio
import threading
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from app.api.classify.scoring import entries
from app.api.json_parts import as_json
from model.engine import EmbeddingEngine
from model.heads.head import Head
from model.heads.scorers.layers import LayersScorer, build_layers
from model.heads.scorers.scorer import Features, Scores
from tests.app.api.classify.made_heads import LABELS, classified, model_of, serving_heads
from tests.support.samples import png

FILES = [png(1), png(2)]


@dataclass(frozen=True)
class WatchedScorer(LayersScorer):
    """Keeps the names of the threads in which it is called."""

    threads: list[str] = field(default_factory=list)

    def scores(self, features: Features, *, each_label_by_itself: bool) -> Scores:
        self.threads.append(threading.current_thread().name)
        return super().scores(features, each_label_by_itself=each_label_by_itself)


def watched_head(engine: EmbeddingEngine, *hidden: int) -> tuple[Head, list[str]]:
    scorer = WatchedScorer(build_layers((engine.embedding_size, *hidden, 2)).eval(), "softmax")
    return Head("mlp", ("a", "b"), "softmax", scorer, model_of(engine)), scorer.threads


async def test_a_costly_head_computes_in_one_thread_of_its_own_although_it_has_few_labels(
    engine: EmbeddingEngine,
) -> None:
    head, threads = watched_head(engine, 2**20 // engine.embedding_size)
    async with serving_heads(engine, {"costly": head}) as client:
        await asyncio.gather(*(classified(client, png(seed)) for seed in range(4)))
    assert threads == ["score_0"] * 4


async def test_a_cheap_head_computes_at_once(engine: EmbeddingEngine) -> None:
    head, threads = watched_head(engine)
    async with serving_heads(engine, {"cheap": head}) as client:
        await classified(client, *FILES)
    assert threads == [threading.main_thread().name]


async def test_a_row_is_written_before_the_next_is_made(
    client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All rows at once would be a million Python objects, which hold the interpreter's lock while they are made."""
    calls: list[str] = []

    def made(*args: Any) -> Any:
        calls.append("made")
        return entries(*args)

    def written(*args: Any) -> Any:
        calls.append("written")
        return as_json(*args)

    monkeypatch.setattr("app.api.classify.execution.entries", made)
    monkeypatch.setattr("app.api.classify.execution.as_json", written)
    await classified(client, *FILES, labels=LABELS)
    assert calls == ["made", "written"] * 2
