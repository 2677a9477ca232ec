"""TSV files of the public notebook that fine-tunes MedImageInsight on Azure: image TSV, text TSV and label file."""

import codecs
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from model.data.image_source import ImageSource
from model.data.label_texts import LabelTexts
from model.data.manifest import BadRow, Manifest, Row, require_usable_rows
from model.data.text_lines import is_encodable, read_lines, require_text
from model.errors import ManifestError


def read_class_names(path: Path) -> list[str]:
    """Read a label file: one class name per line. The position in the result, from 0, is the class id.

    Raises:
        ManifestError: the file cannot be read as UTF-8.
    """
    return [line.strip() for line in read_lines(path) if line.strip()]


def read_tsv(
    image_tsv: Path,
    text_tsv: Path,
    *,
    class_names: Sequence[str] = (),
    label_texts: LabelTexts | None = None,
    strict: bool = False,
) -> Manifest:
    """Read the fine-tuning notebook's pair of files.

    The JSON of a row has `captions`, or `class_id`, `class_name`, `source` and `task`. A label is `source:class_id`,
    because class ids start again in every source. The texts of a label are its class name and the wordings of that
    name in `label_texts`.

    Args:
        image_tsv: lines of `name<TAB>base64`.
        text_tsv: lines of `name<TAB>JSON`; the name finds the image, and the number of the line is that of the row.
        class_names: class names by class id, for rows without a `class_name`; default: none.
        label_texts: wordings of the class names; default: none.
        strict: True raises an error if any row is bad; default: False.

    Raises:
        ManifestError: a file cannot be read, no row is usable, or a row is bad and `strict`.
    """
    sources, rows, bad_rows = _index_images(image_tsv), [], []
    for number, line in enumerate(read_lines(text_tsv), start=1):
        name, _, payload = line.rstrip("\r\n").partition("\t")
        if number == 1 and payload.replace("_", "").replace(" ", "").isalpha():
            continue  # a header line
        row = _row(number, name, payload, sources, class_names, label_texts or {})
        if isinstance(row, BadRow):
            bad_rows.append(row)
        else:
            rows.append(row)
    return require_usable_rows(Manifest(text_tsv, tuple(rows), tuple(bad_rows)), strict=strict)


def _row(
    number: int,
    name: str,
    payload: str,
    sources: Mapping[str, ImageSource],
    class_names: Sequence[str],
    label_texts: LabelTexts,
) -> Row | BadRow:
    if name not in sources:
        return BadRow(number, "no image of this name in the image TSV")
    try:
        facts = json.loads(payload)
    except (ValueError, RecursionError):
        return BadRow(number, "the second column is not JSON")
    label = ""
    texts: tuple[str, ...] = ()
    match facts:
        case {"captions": str(caption)}:
            texts = (caption,)
        case {"captions": [str(), *_] as captions}:
            texts = tuple(map(str, captions))
        case {"class_id": int(class_id)}:
            label = f"{facts.get('source', '')}:{class_id}"
            name_of_id = class_names[class_id] if 0 <= class_id < len(class_names) else ""
            class_name = str(facts.get("class_name") or name_of_id)
            texts = tuple(dict.fromkeys((class_name, *label_texts.get(class_name, ()))))
    if not texts or not all(is_encodable(text) for text in texts):
        return BadRow(number, "no usable text; a row needs captions, or a class_id with a class_name")
    columns = {key: value if isinstance(value, str) else json.dumps(value) for key, value in facts.items()}
    return Row(number, sources[name], texts, label, {"name": name, "label": label, **columns})


def _index_images(image_tsv: Path) -> dict[str, ImageSource]:
    """Where the base64 text of each name lies; the images stay in the file."""
    sources: dict[str, ImageSource] = {}
    start = 0
    try:
        with image_tsv.open("rb") as stream:
            for number, line in enumerate(stream, start=1):
                name, tab, payload = line.partition(b"\t")
                offset = start + len(name) + len(tab)
                text = name.removeprefix(codecs.BOM_UTF8).decode("utf-8", "surrogateescape")
                image = ImageSource(image_tsv, offset, len(payload.rstrip(b"\r\n")))
                sources[require_text(text, image_tsv, number)] = image
                start += len(line)
    except OSError as error:
        raise ManifestError(f"{image_tsv} cannot be read: {error.strerror}") from error
    return sources
