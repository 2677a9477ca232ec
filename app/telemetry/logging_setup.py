"""How the log is written: lines for people on a terminal, JSON objects for machines."""

import logging
import sys

from pythonjsonlogger.json import JsonFormatter

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"
NOISY = (
    "asyncio",
    "filelock",
    "httpcore",
    "httpcore2",
    "httpx",
    "httpx2",
    "python_multipart",
    "urllib3",
)


def set_up_logging(level: str, log_format: str) -> None:
    """Write the log to stderr.

    Args:
        level: debug, info, warning or error.
        log_format: text, json, or auto: text where stderr is a terminal, else json.
    """
    is_text = log_format == "text" or (log_format == "auto" and sys.stderr.isatty())
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        logging.Formatter(TEXT)
        if is_text
        else JsonFormatter(
            ["asctime", "levelname", "name", "message"],
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
        )
    )
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    for name in NOISY:
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("PIL").setLevel(logging.CRITICAL)  # its errors quote the files
