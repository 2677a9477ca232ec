"""The engine in its own process, with batches and without HTTP. `http_load` compares the server with it.

The process runs with OMP_WAIT_POLICY=PASSIVE, like the server. It reads one JSON command per line from standard input,
`{"what": ..., "first": ..., "count": ..., "batch": ...}`, and answers with the seconds taken. `what` is one of

    images_device    only embed_images, on images that were decoded before
    images_pipeline  decoding and preprocessing in a thread pool while the device works, like `medimageinsight embed`
    texts_device     only embed_texts, on token ids; `batch` counts tokens, padding included
    texts_pipeline   tokenizing, then embed_texts
"""

import argparse
import base64
import contextlib
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.benchmarks.support.load_client import lines
from tests.benchmarks.support.release import ROOT

if TYPE_CHECKING:
    from model.engine import EmbeddingEngine, Pixels

TokenIds = tuple[int, ...]


class Worker:
    """The parent's interface to the process: `worker.seconds("images_device", ...)`."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process, self.pid = process, process.pid
        self._answer()  # waits until the model is loaded

    def seconds(self, what: str, *, first: int, count: int, batch: int) -> float:
        command = {"what": what, "first": first, "count": count, "batch": batch}
        assert self._process.stdin is not None
        print(json.dumps(command), file=self._process.stdin, flush=True)
        return float(self._answer()["seconds"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise RuntimeError("the process of the engine ended; its message is printed above")
        answer: dict[str, Any] = json.loads(line)
        return answer


@contextlib.contextmanager
def engine_worker(model: Path, images: Path, texts: Path) -> Iterator[Worker]:
    """Run the worker on a model and two files of request bodies for the duration of the `with` block."""
    argv = [sys.executable, "-m", "tests.benchmarks.support.engine_worker", str(model), str(images), str(texts)]
    environment = {"OMP_WAIT_POLICY": "PASSIVE"} | os.environ  # as our entry point sets it
    process = subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environment
    )
    try:
        yield Worker(process)
    finally:
        process.kill()
        process.wait()


def images_device(engine: "EmbeddingEngine", values: Sequence[str], batch: int) -> float:
    with ThreadPoolExecutor(engine.cpus) as pool:
        pixels = list(pool.map(lambda value: engine.preprocess_image(base64.b64decode(value)), values))
    if len({one.tobytes() for one in pixels}) < len(set(values)):
        raise RuntimeError("two different images are equal after preprocessing")
    return timed(lambda: embed_in_batches(engine, iter(pixels), batch))


def images_pipeline(engine: "EmbeddingEngine", values: Sequence[str], batch: int) -> float:
    """Time from base64 to vectors. At most two batches of decoded images wait for the device."""

    def decode(value: str) -> "Pixels":
        return engine.preprocess_image(base64.b64decode(value))

    def run() -> None:
        with ThreadPoolExecutor(engine.cpus) as pool:
            embed_in_batches(engine, ahead(pool, decode, values, 2 * batch + engine.cpus), batch)

    return timed(run)


def texts_device(engine: "EmbeddingEngine", values: Sequence[str], batch: int) -> float:
    token_ids = [engine.tokenize(value) for value in values]
    return timed(lambda: embed_by_tokens(engine, token_ids, batch))


def texts_pipeline(engine: "EmbeddingEngine", values: Sequence[str], batch: int) -> float:
    return timed(lambda: embed_by_tokens(engine, [engine.tokenize(value) for value in values], batch))


def embed_in_batches(engine: "EmbeddingEngine", pixels: "Iterator[Pixels]", batch: int) -> None:
    while some := list(islice(pixels, batch)):
        engine.embed_images([engine.stage_images(some)])


def embed_by_tokens(engine: "EmbeddingEngine", token_ids: Sequence[TokenIds], budget: int) -> None:
    """Embed texts sorted by length, in calls of at most `budget` tokens, padding included."""
    waiting = sorted(token_ids, key=len, reverse=True)
    while waiting:
        fitting = max(1, budget // len(waiting[0]))
        engine.embed_texts(waiting[:fitting])
        waiting = waiting[fitting:]


def ahead(
    pool: ThreadPoolExecutor, function: "Callable[[str], Pixels]", values: Iterable[str], count: int
) -> "Iterator[Pixels]":
    """Yield the results in order; at most `count` calls are submitted ahead."""
    waiting = iter(values)
    running: list[Future[Pixels]] = [pool.submit(function, value) for value in islice(waiting, count)]
    while running:
        yield running.pop(0).result()
        running.extend(pool.submit(function, value) for value in islice(waiting, 1))


def timed(run: Callable[[], None]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


MEASURES = {
    "images_device": images_device, "images_pipeline": images_pipeline, "texts_device": texts_device,
    "texts_pipeline": texts_pipeline,
}  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("model", "images", "texts"):
        parser.add_argument(name, type=Path)
    options = parser.parse_args()
    from model.engine import EmbeddingEngine

    engine = EmbeddingEngine.load(options.model)
    print(json.dumps({"loaded": True}), flush=True)
    for line in sys.stdin:
        command = json.loads(line)
        file = options.images if command["what"].startswith("images") else options.texts
        bodies = [json.loads(body) for body in lines(file, command["first"], command["count"])]
        values = [body["input_data"]["data"][0][0] for body in bodies]
        print(json.dumps({"seconds": MEASURES[command["what"]](engine, values, command["batch"])}), flush=True)


if __name__ == "__main__":
    main()
