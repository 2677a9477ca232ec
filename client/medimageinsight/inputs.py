"""Checks of the arguments with images and texts: they must be collections of items."""

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any

from medimageinsight.errors import Kind


def as_items(items: Any, kind: Kind) -> list[Any]:
    """Turn the argument of a call into a list of items.

    Raises:
        TypeError: the argument is one item, a folder, a table or another object that is not a collection of items.
    """
    advice = _advice(items, kind)
    if advice:
        raise TypeError(f"{kind}s must be a list with one item per {kind}, not {_described(items)}; {advice}")
    return list(items)


def check_sides(images: Any, texts: Any, to_images: Any, to_texts: Any) -> None:
    """Check which arguments of a similarity are given.

    Raises:
        TypeError: the rows are not exactly one of images and texts, or the columns are both.
    """
    if (images is None) == (texts is None):
        raise TypeError("the rows of a similarity need either images or texts")
    if to_images is not None and to_texts is not None:
        raise TypeError("the columns of a similarity need only one of to_images and to_texts")


def _advice(items: Any, kind: Kind) -> str | None:
    """What to write instead; None if the argument is a collection of items."""
    if isinstance(items, str | PathLike) and kind == "image":
        if Path(items).is_dir():
            return f"write sorted(Path({str(items)!r}).glob('*.dcm')) for the DICOM files of the folder"
        return f"write [{str(items)!r}] for one file"
    if isinstance(items, str | PathLike | bytes | bytearray | memoryview):
        return f"write [{kind}] for one {kind}"
    if hasattr(items, "columns"):
        return f"write table['column'] with the name of the column that has the {kind}s"
    if isinstance(items, Mapping):
        return f"write list({kind}s.values()) for the values of a mapping"
    if hasattr(items, "dtype") and hasattr(items, "ndim"):  # numpy, and what looks like it: a Series, a tensor
        if items.ndim == 1 and getattr(items.dtype, "kind", "O") in "OUT":  # objects or strings
            return None
        if kind == "text":
            return "write a list of strings"
        return "write [array] for one image, or list(array) for a stack of images"
    if hasattr(items, "read"):
        return f"write [file.read()] for one {kind}"
    if hasattr(items, "save_as") or hasattr(items, "save") or not isinstance(items, Iterable):
        return f"write [{kind}] for one {kind}"
    return None


def _described(items: Any) -> str:
    if isinstance(items, str):
        return "a string"
    return f"one object of type {type(items).__name__}"
