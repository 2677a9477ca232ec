"""Output formats: size of the answer and CPU time of the server for 1,000 vectors in each format.

All texts are in the server's cache, so the server only reads the request and writes the answer. The ratios compare
each format with the default, JSON with numbers, in the same run. Both CPU times include reading the request.
"""

import argparse
import http.client
import json
import statistics
from typing import Any

from tqdm import tqdm

from tests.benchmarks.support import inputs, release
from tests.benchmarks.support.machine import print_head, print_table
from tests.benchmarks.support.servers import HOST, Server, end_on_sigterm, our_command

VECTORS = 1000  # per request: the largest number of rows that the server allows
NPY, NPZ, ARROW = "application/x-npy", "application/x-npz", "application/vnd.apache.arrow.stream"
FORMATS: dict[str, tuple[dict[str, str], dict[str, Any]]] = {
    "JSON, numbers": ({}, {}),
    "JSON, numbers, gzip": ({"accept-encoding": "gzip"}, {}),
    "JSON, numbers, zstd": ({"accept-encoding": "zstd"}, {}),
    "JSON, base64": ({}, {"encoding_format": "base64"}),
    "JSON, base64, float16": ({}, {"encoding_format": "base64", "output_dtype": "float16"}),
    "JSON, base64, int8": ({}, {"encoding_format": "base64", "output_dtype": "int8"}),
    "JSON, base64, binary": ({}, {"encoding_format": "base64", "output_dtype": "binary"}),
    "npy": ({"accept": NPY}, {}),
    "npz": ({"accept": NPZ}, {}),
    "npz, float16": ({"accept": NPZ}, {"output_dtype": "float16"}),
    "Arrow": ({"accept": ARROW}, {}),
}


def post(server: Server, body: bytes, headers: dict[str, str]) -> int:
    """Post one request; returns the size of the answer's body in bytes."""
    connection = http.client.HTTPConnection(HOST, server.port, timeout=300)
    try:
        connection.request("POST", "/embed/text", body, {"content-type": "application/json", **headers})
        answer = connection.getresponse()
        content = answer.read()
    finally:
        connection.close()
    if answer.status != http.client.OK:
        raise RuntimeError(f"the server answered with status {answer.status}: {content[:200].decode(errors='replace')}")
    return len(content)


def measure(server: Server, texts: list[str], rounds: int) -> dict[str, tuple[int, float]]:
    """Measure all formats in turns; returns the answer's bytes and the median CPU seconds per request, by format."""
    sizes: dict[str, int] = {}
    seconds: dict[str, list[float]] = {name: [] for name in FORMATS}
    bodies = {name: json.dumps({"texts": texts, "params": params}).encode() for name, (_, params) in FORMATS.items()}
    post(server, bodies["JSON, numbers"], {})
    for _ in tqdm(range(rounds), desc="formats", leave=False, unit="round"):
        for name, (headers, _) in FORMATS.items():
            before = server.cpu_s()
            sizes[name] = post(server, bodies[name], headers)
            seconds[name].append(server.cpu_s() - before)
    return {name: (sizes[name], statistics.median(seconds[name])) for name in FORMATS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    release.add_options(parser, default_size="small")
    parser.add_argument("--rounds", type=int, default=15, help="requests per format (default: %(default)s)")
    options = parser.parse_args()
    end_on_sigterm()
    folder = release.release_of(options).folder
    print_head(f"output formats of {VECTORS} vectors, {folder}")
    with Server(our_command(folder), options.workdir / "logs") as server:
        measured = measure(server, inputs.labels(VECTORS), options.rounds)
    most_bytes, most_s = measured["JSON, numbers"]
    rows = [
        [name, f"{size / 1e6:.2f}", f"{size / most_bytes:.2f}", f"{1e3 * cpu_s:.0f}", f"{cpu_s / most_s:.2f}"]
        for name, (size, cpu_s) in measured.items()
    ]
    print_table(["1,000 vectors", "MB", "/ JSON", "CPU ms", "/ JSON"], rows)


if __name__ == "__main__":
    main()
