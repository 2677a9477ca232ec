"""The pages of the documentation: their texts, and the tables in them that are generated."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.glob("*.md"))]


def page(name: str) -> str:
    """The text of a page in `docs/`."""
    return (DOCS / name).read_text(encoding="utf-8")


def has_code(text: str, name: str) -> bool:
    """Whether a text has `name` as a whole word inside backticks."""
    word = re.compile(rf"(?<![\w-]){re.escape(name)}(?![\w-])")
    return any(word.search(span) for span in re.findall(r"`([^`\n]+)`", text))


def generated(text: str, marker: str) -> str:
    """The table between `<!-- MARKER -->` and the next `<!-- end -->`."""
    start, end = _place(text, marker)
    return text[start:end].strip("\n") + "\n"


def write_generated(name: str, tables: dict[str, str]) -> None:
    """Replace the generated tables of a page in `docs/`; `tables` maps each marker to its table."""
    text = page(name)
    for marker, table in tables.items():
        start, end = _place(text, marker)
        # Without the empty lines, Markdown would read the table as a part of the comment.
        text = f"{text[:start]}\n{table}\n{text[end:]}"
    (DOCS / name).write_text(text, encoding="utf-8")


def table_row(*cells: str) -> str:
    """One line of a Markdown table; what Markdown would interpret inside a cell is escaped."""
    escaped = (cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells)
    return "".join(f"| {cell} " if cell else "| " for cell in escaped) + "|\n"


def _place(text: str, marker: str) -> tuple[int, int]:
    opening = f"<!-- {marker} -->\n"
    start = text.index(opening) + len(opening)
    return start, text.index("<!-- end -->", start)
