"""The tree in the docstring of `model.errors` is the tree of its classes."""

import inspect
import itertools
import re

from model import errors


def test_the_drawn_tree_is_the_real_one() -> None:
    drawn: set[tuple[str, str]] = set()  # parent, child
    path: list[str] = []
    for line in (errors.__doc__ or "").splitlines():
        if match := re.match(r"([│├└─ ]*)([A-Z]\w+[a-z][A-Z]\w+)(?: {2,}|$|\s)", line):
            path[len(match[1]) // 4 :] = [match[2]]
            drawn |= set(itertools.pairwise(path))
    classes = [class_ for _, class_ in inspect.getmembers(errors, inspect.isclass)]
    assert drawn == {
        (parent.__name__, class_.__name__) for class_ in classes for parent in class_.__bases__ if parent in classes
    }
