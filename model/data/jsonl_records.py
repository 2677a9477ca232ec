"""JSONL files with which Azure AI Foundry fine-tunes MedImageInsight Premium: one record of messages per line.

The format is that of Microsoft's page "Fine-tune MedImageInsight Premium" of August 2026. A record has a user with
one image as a data URI, then an assistant whose text is JSON with a class or with captions.
"""

import codecs
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from model.data.image_source import ImageSource
from model.data.label_texts import LabelTexts
from model.data.manifest import BadRow, Manifest, Row, require_usable_rows
from model.data.text_lines import is_encodable
from model.errors import ManifestError

_DATA_URI = re.compile(r"data:[^,]*;base64,", re.IGNORECASE)
_DATA_URI_STRING = re.compile(rb'"(data:[^"\\]*(?:\\.[^"\\]*)*)"', re.IGNORECASE)  # as JSON writes it
_TARGET = "the assistant's text must be a JSON object with class_id and class_name, or with caption or captions"


class _Unusable(Exception):
    """A line is left out; the message is the reason."""


def read_jsonl(path: Path, *, label_texts: LabelTexts | None = None, strict: bool = False) -> Manifest:
    """Read the records of a file; the images stay in it, and empty lines are skipped.

    The texts of a row are its captions, or its class name and the wordings of that name in `label_texts`. Its label is
    the first class name that the file gives to its `class_id`. Its columns are the values of the assistant's JSON.

    Args:
        path: the file.
        label_texts: wordings of the class names; default: none.
        strict: True raises an error if any line is bad; default: False.

    Raises:
        ManifestError: the file cannot be read, no line is usable, or a line is bad and `strict`.
    """
    rows: list[Row] = []
    bad_rows: list[BadRow] = []
    labels: dict[int, str] = {}
    start = 0
    try:
        with path.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                try:
                    if line.strip():
                        rows.append(_row(number, path, start, line, labels, label_texts or {}))
                except _Unusable as reason:
                    bad_rows.append(BadRow(number, str(reason)))
                start += len(line)
    except OSError as error:
        raise ManifestError(f"{path} cannot be read: {error.strerror}") from error
    return require_usable_rows(Manifest(path, tuple(rows), tuple(bad_rows)), strict=strict)


def _row(number: int, path: Path, start: int, line: bytes, labels: dict[int, str], label_texts: LabelTexts) -> Row:
    try:
        record = json.loads(line.removeprefix(codecs.BOM_UTF8).decode("utf-8"))
    except (ValueError, RecursionError):
        raise _Unusable("the line is not JSON in UTF-8") from None
    match record:
        case {
            "messages": [
                {"role": "user", "content": [{"type": "image_url", "image_url": {"url": str(url)}}]},
                {"role": "assistant", "content": str(content)},
            ]
        }:
            target = _target(content)
        case _:
            raise _Unusable("the messages must be a user with exactly one image_url, then an assistant with a text")
    image = _image(path, start, line, url)
    texts, label = _texts(target, labels, label_texts)
    columns = {key: value if isinstance(value, str) else json.dumps(value) for key, value in target.items()}
    return Row(number, image, texts, label, columns | {"label": label})


def _target(content: str) -> dict[str, Any]:
    try:
        target = json.loads(content)
    except (ValueError, RecursionError):
        raise _Unusable(_TARGET) from None
    if not isinstance(target, dict):
        raise _Unusable(_TARGET)
    return target


def _texts(target: Mapping[str, Any], labels: dict[int, str], label_texts: LabelTexts) -> tuple[tuple[str, ...], str]:
    """The texts of a row, and its label; "" for captions."""
    found = sorted(target.keys() & {"class_id", "caption", "captions"})
    if len(found) > 1:
        raise _Unusable(f"the assistant's JSON has {' and '.join(found)}; only one of them is allowed")
    match target:
        case {"class_id": class_id, "class_name": str(class_name)} if is_encodable(class_name):
            if not isinstance(class_id, int) or class_id < 1 or class_id is True:
                raise _Unusable("class_id must be a whole number of at least 1; a text without a class is a caption")
            label = labels.setdefault(class_id, class_name)
            return tuple(dict.fromkeys((class_name, *label_texts.get(class_name, ())))), label
        case {"caption": str(caption)} if is_encodable(caption):
            return (caption,), ""
        case {"captions": [_, *_] as captions} if all(
            isinstance(text, str) and is_encodable(text) for text in captions
        ):
            return tuple(dict.fromkeys(captions)), ""
    raise _Unusable(_TARGET)


def _image(path: Path, start: int, line: bytes, url: str) -> ImageSource:
    """Where the base64 text of a data URI lies in its line."""
    if not _DATA_URI.match(url):
        raise _Unusable("the image must be a data URI with base64")
    for found in _DATA_URI_STRING.finditer(line):
        header, comma, _ = found[1].partition(b",")
        is_escaped = b"\\" in found[1]
        if comma and (json.loads(b'"%s"' % found[1]) if is_escaped else found[1].decode("utf-8")) == url:
            offset = found.start(1) + len(header) + len(comma)
            return ImageSource(path, start + offset, found.end(1) - offset, is_escaped)
    raise _Unusable("the image's data URI must have its data: and its comma without escapes")
