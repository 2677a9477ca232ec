"""Load from the program wrk, a package of Debian and Homebrew. It runs for a fixed time in its own process."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.support.load import Load
from tests.benchmarks.support.servers import HOST

SCRIPT = Path(__file__).parent / "wrk_post.lua"
ANSWER_LIMIT_S = 120


def require_wrk() -> str:
    """The path of wrk; ends the program with a message if it is not installed."""
    path = shutil.which("wrk")
    if path is None:
        sys.exit("This benchmark needs wrk. Install it with: apt-get install wrk, or brew install wrk.")
    return path


def run_wrk(port: int, path: str, bodies: Path, *, clients: int, seconds: float) -> Load:
    """Post the bodies of a file, one per line, in turn over `clients` connections, for `seconds`.

    Raises:
        RuntimeError: a request was not answered with 200.
    """
    argv = [require_wrk(), "--threads", "1", "--connections", str(clients), "--duration", f"{seconds:.0f}s"]
    argv += ["--timeout", f"{ANSWER_LIMIT_S}s", "--script", str(SCRIPT), f"http://{HOST}:{port}{path}"]
    before = _children_s()
    done = subprocess.run([*argv, "--", str(bodies)], capture_output=True, text=True, check=True)
    result = json.loads(done.stdout.splitlines()[-1])
    if failed := result.pop("refused") + result.pop("lost"):
        raise RuntimeError(f"{failed} requests of {clients} clients failed")
    return Load(**result, cpu_share=(_children_s() - before) / result["seconds"])


def _children_s() -> float:
    """CPU seconds of the child processes that have ended."""
    times = os.times()
    return times.children_user + times.children_system
