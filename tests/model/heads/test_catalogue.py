"""The label catalogue: every file is complete, short enough for the text encoder, and makes a head."""

import re
import tomllib
from pathlib import Path

import numpy as np
import pytest
import yaml

from model.checkpoints.release_folder import DEMO_MODEL
from model.data.image_source import ImageSource
from model.data.manifest import Row
from model.engine import EmbeddingEngine
from model.engine_embedder import EngineEmbedder
from model.errors import HeadError
from model.evaluation.labels import find_labels, truth_of
from model.evaluation.prompts import CATALOGUE_KEYS, read_prompts
from model.heads.catalogue import FOLDER, catalogue_files, find_catalogues, read_catalogue
from model.heads.zero_shot import make_zero_shot_head
from tests.test_architecture import ROOT

NAMES = list(catalogue_files())
CONTEXT_LENGTH = 77
EXPECTED = (
    "modality body-part view chest-xray-findings skin-lesions oct diabetic-retinopathy fundus-diseases breast-density "
    "breast-findings breast-ultrasound bone-age ct-exam mr-exam"
)


@pytest.fixture(scope="module")
def engine() -> EmbeddingEngine:
    return EmbeddingEngine.load(DEMO_MODEL, device="cpu")


def texts_of(name: str) -> list[str]:
    return [text for entry in read_catalogue(name).prompts.values() for text in (*entry.present, *entry.absent)]


def test_it_answers_the_common_questions() -> None:
    assert set(NAMES) == set(EXPECTED.split())
    assert len(list(FOLDER.rglob("*.yaml"))) == len(NAMES), "two files have the same name"


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_complete(name: str) -> None:
    document = yaml.safe_load(catalogue_files()[name].read_text(encoding="utf-8"))
    assert document.keys() == CATALOGUE_KEYS
    assert all(isinstance(document[key], str) and document[key] for key in CATALOGUE_KEYS - {"validated", "prompts"})
    assert document["question"].endswith("?")
    assert all(isinstance(label, str) for label in document["prompts"])
    entry = read_catalogue(name)
    assert entry.wording == "unvalidated wording"


@pytest.mark.parametrize("name", NAMES)
def test_the_labels_are_different_and_so_are_their_texts(name: str) -> None:
    prompts = read_catalogue(name).prompts
    assert len({label.lower() for label in prompts}) == len(prompts) >= 2
    present = [text.lower() for entry in prompts.values() for text in entry.present]
    assert len(set(present)) == len(present)
    assert not [label for label, entry in prompts.items() if set(entry.present) & set(entry.absent)]


@pytest.mark.parametrize("name", NAMES)
def test_the_texts_fit_in_the_context(engine: EmbeddingEngine, name: str) -> None:
    counts = {text: engine.tokenize_counted(text)[1] for text in texts_of(name)}
    assert {text: count for text, count in counts.items() if count > CONTEXT_LENGTH} == {}


def test_every_file_makes_a_head_of_the_demonstration_model(engine: EmbeddingEngine) -> None:
    embedder = EngineEmbedder(lambda: engine)
    for name in NAMES:
        entry = read_catalogue(name)
        head = make_zero_shot_head(embedder, entry.prompts, model={})
        scores = head.scores(embedder.texts([next(iter(entry.prompts.values())).present[0]]))
        assert scores.shape == (1, len(entry.prompts))
        assert np.isfinite(scores).all()


@pytest.mark.parametrize("name", ["chest-xray-findings", "breast-findings", "fundus-diseases"])
def test_findings_have_texts_for_their_absence(name: str) -> None:
    assert all(entry.absent for entry in read_catalogue(name).prompts.values())


@pytest.mark.parametrize("name", NAMES)
def test_evaluate_reads_the_labels_and_not_the_description(name: str) -> None:
    assert read_prompts(catalogue_files()[name]) == read_catalogue(name).prompts


def test_labels_of_a_dataset_match_its_spelling() -> None:
    rows = [
        Row(number, ImageSource(Path("x")), (), label, {"label": label})
        for number, label in enumerate(["Pleural_Thickening", "Effusion|Pleural_Thickening", "No Finding"])
    ]
    labels = find_labels(rows, "label", list(read_catalogue("chest-xray-findings").prompts), None)
    truth = truth_of(rows, labels)
    assert truth[:, labels.names.index("Pleural_Thickening")].tolist() == [True, True, False]


def test_every_finding_of_a_mammogram_speaks_against_no_finding() -> None:
    prompts = dict(read_catalogue("breast-findings").prompts)
    assert "x-ray breast mammography asymmetry" in prompts["asymmetry"].present
    no_finding = prompts.pop("no finding")
    assert list(no_finding.absent) == [text for entry in prompts.values() for text in entry.present]


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("chest-xray-findings", "the labels are spelled as in the dataset"),
        ("skin-lesions", "counts Bowen's disease as actinic keratosis"),
        ("breast-findings", "some of them joined"),
        ("bone-age", "written for this catalogue"),
    ],
)
def test_the_source_says_how_the_labels_differ_from_those_of_a_dataset(name: str, source: str) -> None:
    document = yaml.safe_load(catalogue_files()[name].read_text(encoding="utf-8"))
    assert document["source"].endswith(source)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    with pytest.raises(HeadError, match=r"its names are body-part, bone-age, .*, view$"):
        read_catalogue("chest")


def test_files_are_found_by_modality_and_labels_by_an_expression() -> None:
    assert [entry.name for entry in find_catalogues(modality="X-ray")] == ["bone-age", "chest-xray-findings"]
    (found,) = find_catalogues(search=re.compile("pneumothorax$", re.IGNORECASE), modality="x-ray")
    assert (list(found.prompts), found.label_count) == (["Pneumothorax"], 15)  # not those with absent pneumothorax
    whole = find_catalogues(search=re.compile("OCT section"))
    assert [(entry.name, len(entry.prompts)) for entry in whole] == [("oct", 4)]
    assert find_catalogues(search=re.compile("no such words")) == []


def test_the_files_are_part_of_the_distribution() -> None:
    project = tomllib.loads(Path(ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    patterns = project["tool"]["setuptools"]["package-data"]["model"]
    packaged = {file for pattern in patterns for file in (ROOT / "model").glob(pattern)}
    assert set(catalogue_files().values()) <= packaged
