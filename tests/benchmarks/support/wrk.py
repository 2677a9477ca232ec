"""Load from wrk, which runs for a time and in a process of its own. Debian and Homebrew have it as a package, `wrk`."""

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
    """Its path; ends the program with a sentence where it is missing."""
    path = shutil.which("wrk")
    if path is None:
        sys.exit("This benchmark needs wrk: apt-get install wrk, or brew install wrk.")
    return path


def run_wrk(port: int, path: str, bodies: Path, *, clients: int, seconds: float) -> Load:
    """Post the bodies of a file, one a line, in turn over `clients` connections, for some seconds.

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
    """CPU time of the processes that were started here and have ended."""
    times = os.times()
    return times.children_user + times.children_system
