"""What a killed process leaves in a folder, for a kill in front of each of its file operations."""

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_WRITING = os.O_WRONLY | os.O_RDWR
_CHANGES = ("os.rename", "os.remove", "os.rmdir", "os.mkdir")
_watcher: Callable[[str, str], None] | None = None


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    """Tell the watcher the name of each file operation that changes files, and its path, before it happens."""
    global _watcher
    is_write = event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & _WRITING)
    if _watcher and (is_write or event in _CHANGES):
        watcher, _watcher = _watcher, None  # what the watcher does is not watched
        try:
            watcher(event, str(arguments[0]))
        finally:
            _watcher = watcher


@contextmanager
def copies_before_each_operation(folder: Path, copies: Path) -> Iterator[dict[Path, str]]:
    """Context in which the folder is copied in front of each change of its files: SIGKILL would leave just that.

    Args:
        folder: the folder, which need not exist yet.
        copies: folder for the copies.

    Yields:
        Copy -> the operation that would have followed, in the order of time. A copy that equals the one before it is
        left out.
    """
    global _watcher
    operations: dict[Path, str] = {}
    last: dict[Path, bytes] = {}

    def copy(event: str, path: str) -> None:
        nonlocal last
        # rmtree names what it removes relative to an open folder.
        if (Path(path).is_relative_to(folder) or not Path(path).is_absolute()) and folder.exists():
            content = {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}
            target = copies / f"{len(operations):03}"
            if content != last:
                shutil.copytree(folder, target)
                operations[target] = f"{event} {Path(path).name}"
            last = content

    _install()
    _watcher = copy
    try:
        yield operations
    finally:
        _watcher = None


def _install() -> None:
    """Install the hook once per process: Python cannot remove one."""
    if not hasattr(sys.modules[__name__], "installed"):
        sys.addaudithook(_audit)
        setattr(sys.modules[__name__], "installed", True)  # noqa: B010 (mypy knows no such name)
