"""The two formats of the log, written by real processes."""

import json
import subprocess
import sys
from typing import Any

import pytest

PROGRAM = """
import logging
from app.telemetry.logging_setup import set_up_logging
set_up_logging("info", {log_format!r})
logging.getLogger("medimageinsight").info("two\\nlines", extra={{"rows": 3}})
logging.getLogger("httpx").info("not shown")
logging.getLogger("medimageinsight").debug("not shown")
"""


def written(log_format: str) -> list[str]:
    command = [sys.executable, "-c", PROGRAM.format(log_format=log_format)]
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stderr.splitlines()


@pytest.mark.parametrize("log_format", ["json", "auto"])
def test_json_has_one_object_per_line(log_format: str) -> None:
    (line,) = written(log_format)
    entry: dict[str, Any] = json.loads(line)
    assert entry.pop("time").startswith("20")
    assert entry == {"level": "INFO", "logger": "medimageinsight", "message": "two\nlines", "rows": 3}


def test_text_is_for_people() -> None:
    assert written("text")[0].endswith(" INFO medimageinsight: two")
