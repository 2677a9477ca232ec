"""Prompts in each form of file, and their embeddings."""

from pathlib import Path

import numpy as np
import pytest

from model.engine_embedder import EngineEmbedder
from model.errors import ManifestError
from model.evaluation.prompts import LabelPrompts, read_prompts
from model.evaluation.zero_shot import label_features
from tests.support.colour_engine import ColourEngine

EXPECTED = {"a": LabelPrompts(("one", "two")), "b": LabelPrompts(("three",), ("no three",))}
FORMS = {
    "prompts.json": '{"a": ["one", "two"], "b": {"present": "three", "absent": "no three"}}',
    "prompts.yaml": "a: [one, two]\nb: {present: three, absent: [no three]}\n",
    "prompts.csv": "label,prompt,absent\na,one,\nb,three,no three\na,two,\n",
}


@pytest.mark.parametrize("name", FORMS)
def test_every_form_reads_the_same(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(FORMS[name])
    assert read_prompts(tmp_path / name) == EXPECTED


@pytest.mark.parametrize(
    "text", ["", "[1, 2]", "{a: 1}", "{a: []}", "{a: ['']}", "{a: {presnet: x}}", "{a: {absent: x}}", "{a: [", "\0"]
)
def test_other_forms_are_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "prompts.yaml").write_text(text)
    with pytest.raises(ManifestError, match="prompts"):
        read_prompts(tmp_path / "prompts.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n", "prompts.csv lacks the column label"),
        ("label,prompt\n,SECRET\n", "prompts.csv: row 0 has no label"),
        ('label,prompt\na,"SECRET\n', "prompts.csv, line 2: a quote is opened here and never closed"),
        ("label,prompt\nSECRET\n", "the prompts of 'SECRET' must be a text or a list of texts"),
    ],
)
def test_a_csv_file_of_another_form_is_refused(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "prompts.csv").write_text(text)
    with pytest.raises(ManifestError) as refused:
        read_prompts(tmp_path / "prompts.csv")
    assert str(refused.value).endswith(message)


def test_an_ensemble_is_the_mean_of_unit_vectors_made_unit_again() -> None:
    features = label_features(EngineEmbedder(ColourEngine), [("red", "green"), ("blue",)])
    assert features == pytest.approx(np.array([[0.5**0.5, 0.5**0.5, 0], [0, 0, 1]]))


def test_the_description_of_a_catalogue_file_is_not_read_as_labels(tmp_path: Path) -> None:
    prompts = tmp_path / "prompts.yaml"
    prompts.write_text(f"title: two\nvalidated: false\nprompts: {FORMS['prompts.json']}\n")
    assert read_prompts(prompts) == EXPECTED
    prompts.write_text("title: two\nprompts: [a, b]\n")
    with pytest.raises(ManifestError, match="must map labels to prompts"):
        read_prompts(prompts)


def test_a_label_that_stands_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "prompts.json").write_text('{"a": "one",\n"b": {"present": "two", "absent": "three"},\n"a": "four"}')
    with pytest.raises(ManifestError, match=r"prompts\.json, line 3: this key stands there for the second time"):
        read_prompts(tmp_path / "prompts.json")
