"""Classification: milliseconds of `/classify` beyond `/embed/image`, with heads and with labels of the request.

The same image is sent to each route in turns, over one connection. The table shows medians in
milliseconds. The first is that of a request. The second is that of the server's stages without the image's decoding
and encoder. The third says how much longer these stages take than those of `/embed/image` in the same round. The
server knows the labels from the first round. Its model is tiny, with 1024 numbers per embedding. Limit: 1 ms.
The last row has the largest number of labels that is allowed by default, and no limit.
"""

import argparse
import http.client
import json
import statistics
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from tqdm import tqdm

from model.checkpoints.release_folder import find_release_folder
from model.config import read_config
from model.heads.head import Head
from model.heads.head_folder import save_head
from model.heads.scorers.layers import LayersScorer
from model.heads.scorers.zero_shot import ZeroShotScorer
from model.normalization import unit_norm
from tests.benchmarks.support import inputs
from tests.benchmarks.support.machine import OtherWork, print_head, print_table, verdict
from tests.benchmarks.support.servers import HOST, Server, end_on_sigterm, our_command
from tests.support.learnable import make_tiny_release

LIMIT_MS = 1.0
FINDINGS = tuple(f"chest x-ray finding {number}" for number in range(14))
PLAIN = "/embed/image"
ROUTES: Mapping[str, Mapping[str, Any]] = {
    "zero-shot head, 14 labels": {"head": "zero_shot"},
    "linear head, 14 labels, with calls": {"head": "linear"},
    "both heads": {"head": ["zero_shot", "linear"]},
    "14 labels of the request": {"labels": FINDINGS},
}
LARGEST = {"2,000 labels of the request": {"labels": [f"label {number}" for number in range(2000)], "top_k": 10}}


def save_heads(folder: Path, model: Path) -> list[Path]:
    """Write a zero-shot head and a linear head of random numbers for a model; returns their folders."""
    release = find_release_folder(model)
    size, noise = read_config(release.config).embedding_size, np.random.default_rng(0)
    made_with = {"name": release.name, "weights_sha256": release.weights_sha256()}
    present = unit_norm(noise.standard_normal((len(FINDINGS), size), dtype=np.float32))
    weight = torch.from_numpy(noise.standard_normal((len(FINDINGS), size), dtype=np.float32))
    layers = LayersScorer.from_tensors({"0.weight": weight, "0.bias": torch.zeros(len(FINDINGS))}, "sigmoid")
    points = {"sensitivity_90": {"threshold": 0.3}, "youden": {"threshold": 0.6}}
    save_head(
        Head("zero_shot", FINDINGS, "softmax", ZeroShotScorer(present, None, 2.5), made_with), folder / "zero_shot"
    )
    linear = Head("linear", FINDINGS, "sigmoid", layers, made_with, thresholds=dict.fromkeys(FINDINGS, points))
    save_head(linear, folder / "linear")
    return [folder / "zero_shot", folder / "linear"]


def measure(port: int, routes: Mapping[str, Mapping[str, Any]], rounds: int) -> dict[str, list[tuple[float, float]]]:
    """Milliseconds of the client and of the server without the encoder, of each route in each round."""
    (body,) = inputs.image_bodies(inputs.images(1))
    requests = {PLAIN: (PLAIN, json.dumps(body).encode())}
    requests |= {name: ("/classify", json.dumps(body | {"params": params}).encode()) for name, params in routes.items()}
    took: dict[str, list[tuple[float, float]]] = {name: [] for name in requests}
    connection = http.client.HTTPConnection(HOST, port, timeout=300)
    for number in tqdm(range(rounds + 1), desc="rounds", leave=False, unit="round"):
        for name, (path, content) in requests.items():
            start = time.perf_counter()
            connection.request("POST", path, content, {"content-type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            if answer.status != http.client.OK:
                raise RuntimeError(f"{path} answered with status {answer.status}: {text[:200].decode()}")
            if number:  # in the first round the server meets the labels
                beside = beside_encoder_ms(answer.headers["server-timing"])
                took[name].append((1e3 * (time.perf_counter() - start), beside))
    return took


def beside_encoder_ms(server_timing: str) -> float:
    """Milliseconds of the stages that depend on the route, from a header such as `read;dur=1.2, wait;dur=0.3`."""
    stages = dict(stage.strip().split(";dur=") for stage in server_timing.split(","))
    return sum(float(stages[name]) for name in ("read", "wait", "decode", "serialise"))


def table_rows(took: Mapping[str, Sequence[tuple[float, float]]], limit_ms: float | None = None) -> list[list[str]]:
    """One row per route: the medians, and the median of the differences to `PLAIN` within the rounds."""
    rows = []
    for name, times in took.items():
        whole, beside = (statistics.median(column) for column in zip(*times, strict=True))
        beyond = statistics.median(mine[1] - plain[1] for mine, plain in zip(times, took[PLAIN], strict=True))
        limit = "" if name == PLAIN else verdict(beyond, at_most=limit_ms)
        rows.append([name, f"{whole:.2f}", f"{beside:.2f}", "" if name == PLAIN else f"{beyond:+.2f}", limit])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=300, help="requests per route (default: %(default)s)")
    options = parser.parse_args()
    end_on_sigterm()
    print_head(f"classification beside {PLAIN}, {options.rounds} rounds, 1 client")
    with TemporaryDirectory() as folder:
        model = make_tiny_release(Path(folder), embedding_size=1024)
        heads = ",".join(map(str, save_heads(Path(folder), model)))
        with Server(our_command(model, {"HEADS": heads}), Path(folder) / "logs") as server:
            other = OtherWork(server.process.pid)
            rows = [
                *table_rows(measure(server.port, ROUTES, options.rounds), limit_ms=LIMIT_MS),
                *table_rows(measure(server.port, LARGEST, options.rounds // 5)),
            ]
            busy = other.cpus
    print_table(["route", "ms", "of these without the encoder", f"beyond {PLAIN}", "limit"], rows)
    print(f"\nother processes kept {busy:.1f} CPUs busy")


if __name__ == "__main__":
    main()
