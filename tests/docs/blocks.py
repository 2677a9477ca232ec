"""Code blocks of the pages: what they say, whether they can run, and what they should print."""

import re
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

LANGUAGES = {"sh": "sh", "bash": "sh", "shell": "sh", "console": "sh", "python": "python", "py": "python"}
_FENCE = re.compile(r"^```(?P<language>[\w-]*)[^\n]*\n(?P<code>.*?)^```$", re.MULTILINE | re.DOTALL)
_NOT_RUN = re.compile(r"<!-- not run: (\S.*) -->\n\Z")
_NUMBER = re.compile(r"-?\d+\.\d+")


@dataclass(frozen=True)
class Block:
    """A shell or Python block of a page.

    Attributes:
        name: page and line, for reports.
        language: sh or python.
        code: its text.
        not_run: why the block does not run, or "".
        output: the text block that follows, or None.
    """

    name: str
    language: str
    code: str
    not_run: str
    output: str | None


def blocks(file: Path) -> list[Block]:
    """The shell and Python blocks of a page."""
    text = file.read_text(encoding="utf-8")
    fences = list(_FENCE.finditer(text))
    found = []
    for fence, following in zip_longest(fences, fences[1:]):
        language = LANGUAGES.get(fence["language"])
        if language is None:
            continue
        line = text.count("\n", 0, fence.start()) + 1
        reason = _NOT_RUN.search(text[: fence.start()])
        output = following["code"] if following and following["language"] == "text" else None
        found.append(Block(f"{file.name}:{line}", language, fence["code"], reason[1] if reason else "", output))
    return found


def comparable(text: str) -> list[str]:
    """The words of an output, with numbers rounded to 2 decimals."""
    rounded = _NUMBER.sub(lambda number: f"{float(number[0]):.2f}", text)
    return re.sub(r"[\[\](),]", " ", rounded).split()
