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
logging.getLogger("medimageinsight").info("two\\nlines", extra={{"rows": 3, "color_message": "two"}})
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


FORM = """
from app.telemetry.logging_setup import set_up_logging
set_up_logging("debug", "text")
from python_multipart.multipart import FormParserError, MultipartParser, parse_options_header
for body in (b"Jane Doe", b"--x\\r\\nJane Doe: 1", b"--x\\r\\nJane: 1\\rDoe", b"--xJane Doe"):
    try:
        MultipartParser(b"x").write(body)
    except FormParserError as error:
        continue
    raise AssertionError(body)
"""


def test_no_part_of_a_form_that_cannot_be_read_is_in_the_log() -> None:
    done = subprocess.run([sys.executable, "-c", FORM], capture_output=True, text=True, check=True, timeout=30)
    assert done.stderr == ""
