"""A real server process on a free port, for tests and benchmarks."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from tests.support.console_script import CHECKOUT, SCRIPT

READY_WITHIN_S = 60


def start_server(
    model: Path | str, *, module: str | None = None, **settings: object
) -> tuple[subprocess.Popen[str], str]:
    """Start `medimageinsight serve` on a free port, or `python -m module serve`; returns the process and its URL."""
    environment = os.environ | CHECKOUT | {"MODEL": str(model), "PORT": "0", "LOG_FORMAT": "text"}
    environment |= {name.upper(): str(value) for name, value in settings.items()}
    command = [sys.executable, "-m", module, "serve"] if module else [SCRIPT, "serve"]
    process = subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    for line in process.stderr:
        if match := re.search(r"listening on (http://\S+);", line):
            return process, match[1]
    raise AssertionError(f"the server ended with {process.wait()} before it listened")


def wait_until_ready(url: str) -> None:
    """Poll `/health/ready` until it answers 200."""
    deadline = time.monotonic() + READY_WITHIN_S
    while httpx.get(f"{url}/health/ready").status_code != httpx.codes.OK:
        assert time.monotonic() < deadline, "the server did not become ready"
        time.sleep(0.05)


@contextmanager
def serving(model: Path | str, **settings: Any) -> Iterator[str]:
    """Run a server for the duration of the `with` block; yields its URL once it is ready."""
    process, url = start_server(model, **settings)
    # If nobody read the pipe, it would fill up and the server would block on writing its log.
    reading = threading.Thread(target=process.stderr.read if process.stderr else None)
    reading.start()
    try:
        wait_until_ready(url)
        yield url
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(READY_WITHIN_S)
        reading.join()
        if process.stderr:
            process.stderr.close()
