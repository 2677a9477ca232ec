"""A report page, read with an HTML parser."""

from dataclasses import dataclass, field
from html.parser import HTMLParser

VOID = {"meta", "link", "img", "br", "line"}


@dataclass
class Element:
    """An element: its tag, attributes, children, and the text in all of it."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list["Element"] = field(default_factory=list)
    text: str = ""

    def all(self, tag: str, css_class: str = "") -> list["Element"]:
        """The elements of this tag, and of this class if one is named, below this one."""
        found = [child for child in self.children if child.tag == tag]
        found = [child for child in found if not css_class or css_class in child.attributes.get("class", "").split()]
        return found + [below for child in self.children for below in child.all(tag, css_class)]

    def with_id(self, name: str) -> "Element":
        """The only element with this id."""
        (found,) = (element for element in self.everything() if element.attributes.get("id") == name)
        return found

    def everything(self) -> list["Element"]:
        """All elements below this one."""
        return [below for child in self.children for below in [child, *child.everything()]]


class Page(HTMLParser):
    """The tree of a page; every element must be closed in order."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = Element("document")
        self._open = [self.root]
        self.feed(page)
        self.close()
        assert [element.tag for element in self._open] == ["document"]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self._open.pop().tag == tag

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data if self._open[-1].tag != "style" else ""


def rows_of(table: Element) -> list[list[str]]:
    """The texts of the cells of a table, row by row."""
    return [[cell.text.strip() for cell in row.children if cell.tag in ("th", "td")] for row in table.all("tr")]
