"""Label texts in JSON and YAML."""

from pathlib import Path

import pytest

from model.data.label_texts import read_label_texts
from model.errors import ManifestError


@pytest.mark.parametrize("content", ["[1, 2]", "finding: 3", "finding: []", "a: b: c"])
def test_label_texts_of_another_structure_are_refused(tmp_path: Path, content: str) -> None:
    (tmp_path / "texts.yaml").write_text(content)
    with pytest.raises(ManifestError):
        read_label_texts(tmp_path / "texts.yaml")


def test_an_error_names_the_place_of_a_label_and_not_the_label(tmp_path: Path) -> None:
    (tmp_path / "texts.yaml").write_text("first: fine\nSECRET: 3\n")
    with pytest.raises(ManifestError, match=r"texts\.yaml: label number 2 must have") as error:
        read_label_texts(tmp_path / "texts.yaml")
    assert "SECRET" not in str(error.value)
