"""`python .ci/release_notes.py TAG`: print the section of CHANGELOG.md for the release TAG, such as v0.1.0.

Exits with 1 and one sentence unless the server and the client have the version of TAG, and its section has a date.
"""

import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECTS = ("pyproject.toml", "client/pyproject.toml")


def release_notes(tag: str) -> str:
    """Return the lines under the heading `## VERSION (YYYY-MM-DD)`.

    Raises:
        ValueError: Another version is in a pyproject.toml, or the section is missing, undated or empty.
    """
    version = tag.removeprefix("v")
    for name in PROJECTS:
        declared = tomllib.loads((ROOT / name).read_text(encoding="utf-8"))["project"]["version"]
        if tag != f"v{declared}":
            raise ValueError(f"{name} has version {declared}, whose tag is v{declared}, not {tag}.")
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    section = re.search(
        rf"^## {re.escape(version)} \(([^)\n]*)\)\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if section is None or not re.fullmatch(r"\d{4}-\d{2}-\d{2}", section[1]) or not section[2].strip():
        raise ValueError(f'CHANGELOG.md needs the heading "## {version} (YYYY-MM-DD)" and lines under it.')
    return section[2].strip() + "\n"


if __name__ == "__main__":
    try:
        sys.stdout.write(release_notes(sys.argv[1]))
    except ValueError as error:
        sys.exit(str(error))
