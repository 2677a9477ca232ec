"""Conformance: schemathesis makes requests from the OpenAPI document and checks every answer against it."""

import os
import subprocess
import sys
from pathlib import Path

import httpx

from tests.support.console_script import CHECKOUT
from tests.support.servers.serving import serving

# Without positive_data_acceptance: a valid body may be refused, because some rules do not fit into a schema. Examples:
# a row is as long as `columns`, base64 holds an image, a text holds no lone surrogate.
COMMAND = [
    *(str(Path(sys.executable).with_name("schemathesis")), "run"),
    *("--exclude-checks", "positive_data_acceptance"),
    *("--max-examples", "25", "--seed", "2026", "--generation-deterministic"),
]


def test_schemathesis_finds_nothing(tmp_path: Path) -> None:
    with serving("", offline=True) as url:
        paths = httpx.get(f"{url}/openapi.json").json()["paths"]
        done = subprocess.run(
            [*COMMAND, f"{url}/openapi.json"],
            cwd=tmp_path,
            env=os.environ | CHECKOUT | {"SCHEMATHESIS_HOOKS": "tests.app.contract.schemathesis_hooks"},
            capture_output=True,
            text=True,
            timeout=300,
        )
    assert done.returncode == 0, done.stdout[-5000:]
    assert f"Tested: {sum(map(len, paths.values()))}" in done.stdout, done.stdout[-2000:]
