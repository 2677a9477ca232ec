"""Lines of text files that a user wrote. An error names the file, the line and the column, and quotes nothing."""

import os
import re
from collections.abc import Generator
from pathlib import Path
from typing import Any

import yaml

from model.errors import ManifestError

_NOT_TEXT = re.compile("[\0\ud800-\udfff]")  # bytes that are not UTF-8 are decoded to lone surrogates


class _KeyTwice(Exception):
    """A mapping has a key twice, and would keep only the last value."""

    def __init__(self, line: int) -> None:
        super().__init__(line)
        self.line = line


class _UniqueKeys(yaml.SafeLoader):
    """Loader that refuses a mapping with a key twice."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[tuple[str, Any]] = set()
        for key, _ in node.value:
            if isinstance(key, yaml.ScalarNode):
                if (key.tag, key.value) in seen:
                    raise _KeyTwice(key.start_mark.line + 1)
                seen.add((key.tag, key.value))
        return super().construct_mapping(node, deep)


def read_lines(path: Path) -> Generator[str, None, None]:
    """The lines of a UTF-8 file, with their line ends and without a byte order mark.

    Raises:
        ManifestError: the file cannot be read, is not UTF-8, or contains a NUL, which text does not.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            for number, line in enumerate(stream, start=1):
                yield require_text(line, path, number)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error


def require_text(line: str, path: Path, number: int) -> str:
    """Return a line, or the beginning of one, that was decoded from UTF-8 with `surrogateescape`.

    Raises:
        ManifestError: it contains bytes that are not UTF-8, or a NUL; the sentence names the place.
    """
    if found := _NOT_TEXT.search(line):
        place = f"{path}, line {number}, column {found.start() + 1}"
        raise ManifestError(f"{place}: this is not UTF-8 text; save the file as UTF-8")
    return line


def is_encodable(text: str) -> bool:
    """Whether a text is neither blank nor contains surrogates, which JSON allows and a tokenizer cannot encode."""
    return bool(text.strip()) and not any("\ud800" <= character <= "\udfff" for character in text)


def read_yaml(path: Path) -> Any:
    """The content of a YAML file, or of a JSON file, which is YAML too.

    Raises:
        ManifestError: the file cannot be read, is neither, or has a key twice in a mapping.
    """
    try:
        return yaml.load("".join(read_lines(path)), _UniqueKeys)  # noqa: S506 (it is a SafeLoader)
    except _KeyTwice as error:
        raise ManifestError(f"{path}, line {error.line}: this key stands there for the second time") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = f", line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        raise ManifestError(f"{path}{place}: this is neither JSON nor YAML") from error
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ManifestError(f"{path} is neither JSON nor YAML") from error


def as_utf8(name: str | Path) -> str:
    """A file's name for a table that holds only valid UTF-8: bytes of another encoding become backslash escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")
