"""Peers: the same encoder behind our server, LitServe, MLflow's scoring server and a plain FastAPI app.

All of them run the engine of this project on the same model with the same preprocessing, so that only the serving
differs. Each server is started on its own, as its documentation recommends (`tests/benchmarks/peer_apps`). wrk posts
the same bodies to all: one image of 300 kB or one short text per request, with our text cache off. Limits: at 32 and
128 clients, more requests per second than the best peer (aim: 1.5 times); at 1 client, at most 1.1 times the median
latency of the best peer.
"""

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from tests.benchmarks.support import inputs, release
from tests.benchmarks.support.load import Load
from tests.benchmarks.support.machine import OtherWork, print_head, print_table, verdict
from tests.benchmarks.support.release import ROOT
from tests.benchmarks.support.servers import HOST, Server, ServerCommand, end_on_sigterm, our_command
from tests.benchmarks.support.wrk import require_wrk, run_wrk

REQUIREMENTS = ("litserve==0.2.19", "mlflow==3.17.2")
LEVELS = (1, 8, 32, 128)
SECONDS = {"image": 30, "text": 10}  # per number of clients; requests in flight at the end are not counted
DIFFERENT = {"image": 64, "text": 2000}
SIDE_PIXELS = 320  # of a square of noise, 300 kB as PNG
BATCHES = {"image": 14, "text": 64}  # LitServe's largest batch; ours is as many images, or 1,024 tokens
MORE, SLOWER = 1.0, 1.1


@dataclass(frozen=True)
class Peer:
    """A server for one kind of row: its command, its path and the file of request bodies."""

    name: str
    command: ServerCommand
    path: str
    bodies: Path


@dataclass(frozen=True)
class Result:
    """One peer at one number of clients; `load` is None if requests failed."""

    peer: str
    clients: int
    load: Load | None
    peak_bytes: int


def peers_python(workdir: Path) -> Path:
    """The interpreter of the peers' virtual environment; it also finds the packages of this environment."""
    folder = workdir / "peers_venv"
    python, done = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join(REQUIREMENTS)
    if done.exists() and done.read_text() == wanted:
        return python
    print(f"installing {', '.join(REQUIREMENTS)} into {folder}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    subprocess.run([str(python), "-m", "pip", "install", "-qq", *REQUIREMENTS], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    ours = next(Path(entry) for entry in sys.path if entry.endswith("site-packages"))
    (site / "ours.pth").write_text(f"{ours}\n")
    done.write_text(wanted)
    return python


def peers_of(kind: str, folder: Path, workdir: Path, bodies: Sequence[dict[str, Any]]) -> list[Peer]:
    """Our server and its peers. MLflow gets the same rows in its own schema."""
    python = peers_python(workdir)
    environment = {
        "PEER_FOLDER": str(folder), "PEER_KIND": kind, "PYTHONPATH": str(ROOT),
        "PATH": f"{python.parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip
    files = workdir / "bodies"
    files.mkdir(parents=True, exist_ok=True)
    azure = inputs.write_lines(files / f"peers_{kind}.jsonl", bodies)
    split = inputs.write_lines(
        files / f"peers_{kind}_mlflow.jsonl", ({"dataframe_split": body["input_data"]} for body in bodies)
    )
    apps = "tests.benchmarks.peer_apps"
    lit = (str(python), "-m", f"{apps}.litserve_app", "{port}", str(BATCHES[kind]))
    plain = (sys.executable, "-m", "uvicorn", f"{apps}.fastapi_app:app", "--host", HOST, "--port", "{port}",
             "--log-level", "warning")  # fmt: skip
    served = (str(python), "-m", "mlflow", "models", "serve", "-m", str(_mlflow_model(python, workdir, environment)),
              "--env-manager", "local", "--host", HOST, "--port", "{port}", "--workers", "1")  # fmt: skip
    return [
        Peer("ours", our_command(folder, {"TEXT_CACHE_SIZE": "0"}), "/embed", azure),
        Peer("LitServe", ServerCommand("litserve", lit, environment), "/embed", azure),
        Peer("MLflow", ServerCommand("mlflow", served, environment, ready_path="/ping"), "/invocations", split),
        Peer("FastAPI", ServerCommand("fastapi", plain, environment), "/embed", azure),
    ]


def _mlflow_model(python: Path, workdir: Path, environment: dict[str, str]) -> Path:
    model = workdir / "mlflow_model"
    if not (model / "MLmodel").exists():
        code = ROOT / "tests" / "benchmarks" / "peer_apps" / "mlflow_model.py"
        program = (
            "import sys, mlflow.pyfunc; "
            "mlflow.pyfunc.save_model(sys.argv[1], python_model=sys.argv[2], pip_requirements=[])"
        )
        subprocess.run(
            [str(python), "-c", program, str(model), str(code)],
            check=True, env=os.environ | environment, cwd=workdir, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
    return model


def bodies_of(kind: str) -> list[dict[str, Any]]:
    count = DIFFERENT[kind]
    if kind == "text":
        return inputs.text_bodies(inputs.labels(count))
    noise = np.random.default_rng(0)
    return inputs.image_bodies(
        inputs.noise_png(noise, SIDE_PIXELS) for _ in tqdm(range(count), desc="images", leave=False)
    )


def measure(peer: Peer, kind: str, workdir: Path, levels: Sequence[int], seconds: float) -> list[Result]:
    """Measure one server at all numbers of clients."""
    results = []
    first = json.loads(peer.bodies.open(encoding="utf-8").readline())
    with Server(peer.command, workdir / "logs") as server:
        for clients in tqdm(levels, desc=f"{peer.name}, {kind}s", leave=False, unit="level"):
            server.ask("POST", peer.path, first)  # answered only once the requests left over from the last run are done
            try:
                load = run_wrk(server.port, peer.path, peer.bodies, clients=clients, seconds=seconds)
            except RuntimeError as error:
                print(f"{peer.name}: {error}", flush=True)
                load = None
            results.append(Result(peer.name, clients, load, server.peak_bytes()))
    return results


def print_results(kind: str, results: Sequence[Result]) -> None:
    rows = []
    for result in sorted(results, key=lambda one: one.clients):
        best = [one.load for one in results if one.load and one.clients == result.clients and one.peer != "ours"]
        load = result.load
        if load is None:
            rows.append([result.peer, str(result.clients), "failed", "", "", "", "", ""])
            continue
        ratio = load.rate / max((one.rate for one in best), default=load.rate)
        slower = load.p50_ms / min((one.p50_ms for one in best), default=load.p50_ms)
        limit = verdict(slower, at_most=SLOWER) if result.clients == 1 else verdict(ratio, at_least=MORE)
        has_limit = result.peer == "ours" and result.clients in (1, 32, 128)
        rows.append([
            result.peer, str(result.clients), f"{load.rate:.1f}", f"{load.p50_ms:.1f}", f"{load.p99_ms:.1f}",
            f"{result.peak_bytes / 1e6:.0f}", f"{ratio:.2f}" if result.peer == "ours" else "",
            limit if has_limit else "",
        ])  # fmt: skip
    print_table([f"{kind}s", "clients", "per second", "p50 ms", "p99 ms", "peak MB", "/ best peer", "limit"], rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release.add_options(parser, default_size="small")
    parser.add_argument(
        "--clients",
        default=",".join(map(str, LEVELS)),
        help="numbers of clients, separated by commas (default: %(default)s)",
    )
    parser.add_argument("--kinds", nargs="+", choices=["image", "text"], default=["image", "text"],
                        help="kinds of requests (default: both)")  # fmt: skip
    parser.add_argument(
        "--seconds", type=float, help="duration per number of clients (default: 30 for images, 10 for texts)"
    )
    options = parser.parse_args()
    end_on_sigterm()
    require_wrk()
    folder = release.release_of(options).folder
    levels = [int(clients) for clients in options.clients.split(",")]
    print_head(f"peers, {folder}")
    print(f"peers: {', '.join(REQUIREMENTS)}, our version of fastapi; configured in tests/benchmarks/peer_apps")
    for kind in options.kinds:
        seconds = options.seconds or SECONDS[kind]
        bodies = bodies_of(kind)
        others = OtherWork()
        peers = peers_of(kind, folder, options.workdir, bodies)
        results = [one for peer in peers for one in measure(peer, kind, options.workdir, levels, seconds)]
        print_results(kind, results)
        print(f"the servers and other processes kept {others.cpus:.2f} CPUs busy")


if __name__ == "__main__":
    main()
