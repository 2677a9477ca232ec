"""The few pieces of HTML that a report is made of; every text is escaped."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any

CSS = """
body{font:15px/1.5 system-ui,sans-serif;color:#24303f;background:#f5f7fa;margin:0}
main{max-width:1100px;margin:0 auto;padding:24px}
section{background:#fff;border:1px solid #dfe4ea;border-radius:8px;padding:16px 22px;margin:18px 0}
h1{font-size:26px;margin:8px 0}h2{font-size:20px;margin:4px 0 12px}h3{font-size:16px;margin:20px 0 6px}
p.note{color:#5a6675;margin:4px 0}
table{border-collapse:collapse;font-size:13px;font-variant-numeric:tabular-nums}
.wide{overflow-x:auto}
th,td{padding:4px 10px;border-bottom:1px solid #e6eaef;text-align:right;white-space:nowrap}
th{color:#5a6675;font-weight:600}th:first-child,td:first-child,td.text,th.text{text-align:left}
td small{color:#5a6675}
.far{background:#fdf0d5}
.pictures{display:flex;flex-wrap:wrap;gap:14px;align-items:flex-start}
.pictures img{max-width:100%;height:auto}
summary{cursor:pointer;color:#1f5fa8;margin:10px 0}
"""


class Markup(str):
    """HTML that is not escaped again."""

    __slots__ = ()


def page(title: str, content: str) -> str:
    """A whole document."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width,initial-scale=1"><style>{CSS}</style></head>'
        f"<body><main><h1>{escape(title)}</h1>{content}</main></body></html>\n"
    )


def table(columns: Sequence[str], lines: Iterable[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(
        "<tr>"
        + "".join(f"<td>{cell if isinstance(cell, Markup) else escape(str(cell))}</td>" for cell in line)
        + "</tr>"
        for line in lines
    )
    return f'<div class="wide"><table><tr>{head}</tr>{body}</table></div>'


def pictures(uris: Sequence[str]) -> str:
    return '<div class="pictures">' + "".join(f'<img alt="" src="{uri}">' for uri in uris) + "</div>"


def details(title: str, content: str) -> str:
    return f"<details><summary>{escape(title)}</summary>{content}</details>"


def section(title: str, content: str) -> str:
    return f"<section><h2>{escape(title)}</h2>{content}</section>"
