"""The health check of the images finds the service wherever it listens."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.console_script import CHECKOUT, SCRIPT

READY_WITHIN_S = 120  # the imports take long on a busy machine
HEALTHCHECK = Path(__file__).parents[2] / "docker" / "healthcheck.py"


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port: int = taken.getsockname()[1]
    return port


@contextmanager
def service(release: Path, *flags: str, **variables: str) -> Iterator[subprocess.Popen[Any]]:
    environment = os.environ | CHECKOUT | {"MODEL": str(release)} | variables
    with subprocess.Popen([SCRIPT, "serve", *flags], env=environment, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


def check(process: subprocess.Popen[Any], **variables: str) -> int:
    """The exit status of the health check, which sees the variables of the container but not the server's flags."""
    command = [sys.executable, str(HEALTHCHECK), str(process.pid)]
    return subprocess.run(command, env=os.environ | variables, check=False, timeout=30).returncode


PORT = str(free_port())
PLACES: list[tuple[list[str], dict[str, str]]] = [
    (["--port", PORT], {"PORT": "8000"}),
    ([f"--port={PORT}", "--host", "::"], {"MEDIMAGEINSIGHT_PORT": "tcp://10.0.0.1:8000"}),
    (["--host", "127.0.0.2"], {"MEDIMAGEINSIGHT_PORT": "0", "PORT": "8000", "API_KEYS": "key"}),
]


@pytest.mark.parametrize(("flags", "variables"), PLACES, ids=["a flag", "a flag and an address", "a variable"])
def test_a_service_is_found_wherever_it_listens(
    flags: list[str], variables: dict[str, str], small_release: Path
) -> None:
    if "::" in flags and not socket.has_dualstack_ipv6():
        pytest.skip("this machine has no IPv6")
    with service(small_release, *flags, **variables) as process:
        assert check(process, **variables) == 1  # it does not listen yet
        deadline = time.monotonic() + READY_WITHIN_S
        while check(process, **variables) != 0:
            assert time.monotonic() < deadline, "the health check did not find the service in time"
        another = [sys.executable, str(HEALTHCHECK), str(os.getpid())]
        with socket.create_server(("127.0.0.1", 0)):  # what another process listens to does not count
            assert subprocess.run(another, check=False, timeout=30).returncode == 1
    assert check(process, **variables) == 1
