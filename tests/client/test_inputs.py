"""Arguments that look like a collection of items, and are not."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from medimageinsight.inputs import as_items
from PIL import Image


@pytest.mark.parametrize(
    ("items", "advice"),
    [
        ("chest x-ray", r"write \[text\] for one text"),
        (b"bytes", r"write \[text\] for one text"),
        (Path("a.txt"), r"write \[text\] for one text"),
        (pd.DataFrame({"text": ["a"]}), r"write table\['column'\]"),
        ({"a": "b"}, r"write list\(texts\.values\(\)\)"),
        (7, r"write \[text\] for one text"),
    ],
)
def test_what_is_not_a_collection_of_texts(items: Any, advice: str) -> None:
    with pytest.raises(TypeError, match=f"^texts must be a list with one item per text, .*{advice}"):
        as_items(items, "text")


@pytest.mark.parametrize(
    ("items", "advice"),
    [
        ("scan.dcm", r"write \['scan\.dcm'\] for one file"),
        (b"\x89PNG", r"write \[image\] for one image"),
        (np.zeros((4, 4), np.uint8), r"write \[array\] for one image, or list\(array\)"),
        (np.zeros((2, 4, 4), np.uint8), r"write \[array\] for one image, or list\(array\)"),
        (Image.new("L", (4, 4)), r"write \[image\] for one image"),
        (pd.DataFrame({"path": ["a"]}), r"write table\['column'\]"),
    ],
)
def test_what_is_not_a_collection_of_images(items: Any, advice: str) -> None:
    with pytest.raises(TypeError, match=f"^images must be a list with one item per image, .*{advice}"):
        as_items(items, "image")


def test_a_folder_is_not_a_collection_of_images(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"glob\('\*\.dcm'\)"):
        as_items(tmp_path, "image")


def test_any_collection_will_do() -> None:
    for items in (["a", "b"], ("a", "b"), iter(["a", "b"]), pd.Series(["a", "b"]), np.array(["a", "b"])):
        assert as_items(items, "text") == ["a", "b"]
