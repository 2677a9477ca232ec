"""Links of the files that `make docs` does not check, and the length of the README."""

import re
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

FILES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md"]
MAX_README_LINES = 150
_LINK = re.compile(r"\]\(([^)\s]+)\)")


def anchors_of(file: Path) -> set[str]:
    """The anchors that a code host gives the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", file.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_every_link_leads_somewhere(file: Path) -> None:
    for link in _LINK.findall(file.read_text(encoding="utf-8")):
        if "://" not in link:
            path, _, anchor = link.partition("#")
            assert (ROOT / path).exists(), link
            assert not anchor or anchor in anchors_of(ROOT / path), link


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= MAX_README_LINES
