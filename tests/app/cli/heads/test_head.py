"""The command `head`: heads from texts, from Azure's files, and the list of ready texts."""

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

from app.cli.main import main
from model.engine import EmbeddingEngine
from model.heads.head_folder import load_head
from model.heads.scorers.zero_shot import ZeroShotScorer
from tests.model.heads.test_azure_adapter import EMBEDDING_SIZE, network, write
from tests.support.learnable import make_tiny_release
from tests.support.samples import assert_close, text_vector
from tests.support.servers.serving import serving

LABELS = ["--label", "x-ray chest", "--label", "ct chest"]


@pytest.fixture(scope="module")
def tiny_release(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose embeddings have as many numbers as the adapter of the tests takes."""
    return make_tiny_release(tmp_path_factory.mktemp("tiny"))


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["head", *map(str, arguments)], catch_exceptions=False)


def make(release: Path, folder: Path, *arguments: str | Path) -> Result:
    """Make a head with the model in this process; its folder is `folder`/head."""
    return run("make", *arguments, "-o", folder / "head", "--model", release, "--device", "cpu", "--no-cache")


def test_a_head_holds_the_vectors_of_its_texts(tmp_path: Path, small_release: Path, engine: EmbeddingEngine) -> None:
    result = make(small_release, tmp_path, *LABELS, "--template", "{}.", "--dicom-window", "lung")
    assert result.exit_code == 0, result.output
    assert f"{tmp_path / 'head'}: zero-shot head with 2 labels" in result.stderr
    head = load_head(tmp_path / "head")
    assert head.labels == ("x-ray chest", "ct chest")
    assert isinstance(head.scorer, ZeroShotScorer)
    assert_close(head.scorer.present[1], text_vector(engine, "ct chest."))
    assert head.scorer.logit_scale == pytest.approx(engine.logit_scale, abs=1e-6)
    head.check_model(small_release.name, engine.release.weights_sha256())
    assert head.preprocessing.params()["dicom_window"] == [-600, 1500]
    facts = json.loads((tmp_path / "head" / "head.json").read_text())
    assert facts["kind"] == "zero_shot"
    assert facts["details"]["template"] == "{}."
    assert facts["details"]["prompts"]["ct chest"] == {"present": ["ct chest"], "absent": []}


def test_a_head_is_only_replaced_if_a_flag_says_so(tmp_path: Path, small_release: Path) -> None:
    assert make(small_release, tmp_path, "--label", "mri", "--label", "oct").exit_code == 0
    for command in (("make", *LABELS), ("import", tmp_path)):
        write(tmp_path / "adapter_model", network().state_dict())
        refused = run(*command, "-o", tmp_path / "head", "--model", tmp_path / "no-model")
        assert refused.exit_code == 2
        assert "head has a head already; name another folder, or replace it by --overwrite" in refused.stderr
    assert load_head(tmp_path / "head").labels == ("mri", "oct")
    assert make(small_release, tmp_path, *LABELS, "--overwrite").exit_code == 0
    assert load_head(tmp_path / "head").labels == ("x-ray chest", "ct chest")


def test_the_labels_come_from_a_file(tmp_path: Path, small_release: Path) -> None:
    (tmp_path / "labels.txt").write_text("\ufeffx-ray chest\n\n  ct chest  \r\n", encoding="utf-8")
    assert make(small_release, tmp_path, "--labels", tmp_path / "labels.txt").exit_code == 0
    assert load_head(tmp_path / "head").labels == ("x-ray chest", "ct chest")


def test_the_texts_come_from_a_prompts_file(tmp_path: Path, small_release: Path) -> None:
    (tmp_path / "prompts.yaml").write_text(
        "a: {present: [one, two], absent: none}\nb: {present: three, absent: none}\n"
    )
    assert make(small_release, tmp_path, "--prompts", tmp_path / "prompts.yaml").exit_code == 0
    assert load_head(tmp_path / "head").scorer.has_negatives


def test_texts_for_absence_that_are_not_used_are_a_warning(tmp_path: Path, small_release: Path) -> None:
    (tmp_path / "prompts.yaml").write_text("a: {present: one, absent: none}\nb: three\n")
    result = make(small_release, tmp_path, "--prompts", tmp_path / "prompts.yaml")
    assert result.exit_code == 0
    assert "warning: b has no text for its absence" in result.stderr
    assert not load_head(tmp_path / "head").scorer.has_negatives


def test_the_label_catalogue_says_that_its_wording_is_not_validated(tmp_path: Path, small_release: Path) -> None:
    result = make(small_release, tmp_path, "--catalogue", "oct")
    assert result.exit_code == 0, result.output
    head = load_head(tmp_path / "head")
    assert head.labels == ("choroidal neovascularization", "diabetic macular edema", "drusen", "normal")
    assert "warning: the wording of oct is not validated" in result.stderr
    assert head.details["catalogue"] == "oct"
    assert head.details["wording"] == "unvalidated wording"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "one of --label, --labels, --prompts and --catalogue"),
        ((*LABELS, "--catalogue", "oct"), "one of --label, --labels, --prompts and --catalogue"),
        (("--catalogue", "chest"), "the label catalogue does not have this name; its names are body-part"),
        (("--prompts", "chest"), "does not exist"),
        (("--label", "a"), "at least two labels"),
        (("--label", "a", "--label", ""), "label number 2 is empty"),
        (("--label", "a", "--label", "a"), "label number 2 repeats the label 'a'"),
        ((*LABELS, "--max-labels", "1"), "there are 2 labels, but MAX_LABELS is 1"),
        ((*LABELS, "--template", "a picture"), "exactly once"),
        ((*LABELS, "--label", "\udcff"), "half of a surrogate pair"),
    ],
    ids=lambda value: " ".join(value).encode("ascii", "replace").decode() if isinstance(value, tuple) else None,
)
def test_labels_that_cannot_be_used_are_refused(
    tmp_path: Path, small_release: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = make(small_release, tmp_path, *arguments)
    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", " ")
    assert not (tmp_path / "head" / "head.json").exists()


def test_ten_thousand_labels_are_refused_before_the_model_is_loaded(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("\n".join(map(str, range(10_000))))
    result = make(tmp_path / "nowhere", tmp_path, "--labels", tmp_path / "labels.txt")
    assert result.exit_code == 2
    assert "there are 10,000 labels, but MAX_LABELS is 2,000" in result.stderr


def test_a_label_twice_in_a_prompts_file_is_refused(tmp_path: Path, small_release: Path) -> None:
    (tmp_path / "prompts.yaml").write_text("a: one\nb: two\na: three\n")
    result = make(small_release, tmp_path, "--prompts", tmp_path / "prompts.yaml")
    assert result.exit_code == 2
    assert "prompts.yaml, line 3: this key stands there for the second time" in result.stderr


def test_a_server_embeds_the_texts(tmp_path: Path, small_release: Path, engine: EmbeddingEngine) -> None:
    with serving(small_release) as url:
        result = run("make", *LABELS, "-o", tmp_path / "head", "--server", url, "--no-cache")
    assert result.exit_code == 0, result.output
    head = load_head(tmp_path / "head")
    assert isinstance(head.scorer, ZeroShotScorer)
    assert_close(head.scorer.present[0], text_vector(engine, "x-ray chest"))
    head.check_model(small_release.name, engine.release.weights_sha256())


def test_an_adapter_of_azure_is_imported_for_the_named_model(tmp_path: Path, tiny_release: Path) -> None:
    write(tmp_path / "azure" / "adapter_model", network().state_dict())
    result = run(
        "import", tmp_path / "azure", "-o", tmp_path / "head", "--model", tiny_release, "--contrast", "equalize"
    )
    assert result.exit_code == 0, result.output
    assert "Azure adapter with 3 labels" in result.stderr
    head = load_head(tmp_path / "head")
    assert head.kind == "azure_adapter"
    assert head.model["name"] == tiny_release.name
    assert head.preprocessing.params()["contrast"] == "equalize"
    assert head.scores(np.eye(2, EMBEDDING_SIZE, dtype=np.float32)).sum(axis=1) == pytest.approx(1)


def test_an_adapter_of_another_vector_length_is_refused(tmp_path: Path, small_release: Path) -> None:
    write(tmp_path / "azure", network().state_dict())
    result = run("import", tmp_path / "azure", "-o", tmp_path / "head", "--model", small_release)
    assert result.exit_code == 2
    assert (
        f"the adapter takes embeddings of {EMBEDDING_SIZE} numbers, but those of {small_release.name}" in result.stderr
    )


def test_a_folder_without_an_adapter_is_refused(tmp_path: Path) -> None:
    result = run("import", tmp_path, "-o", tmp_path / "head")
    assert result.exit_code == 2
    assert "adapter_model.pth and config.json are needed" in result.stderr


def test_the_catalogue_is_listed_with_labels_and_texts() -> None:
    listing = run("labels").stdout
    assert "oct: Retinal OCT (OCT, 4 labels, unvalidated wording)" in listing
    assert "  - drusen: optical coherence tomography retina drusen\n" in listing
    assert "absent: x-ray chest anteroposterior No Finding" in listing


def test_the_list_is_filtered() -> None:
    listing = run("labels", "--modality", "X-RAY", "--search", "PNEUMOTHORAX").stdout
    assert "chest-xray-findings" in listing
    assert ", 1 of 15 labels, unvalidated wording)" in listing
    assert "bone-age" not in listing
    assert "  - Cardiomegaly:" not in listing
    assert "  - No Finding:" not in listing  # only the texts for its absence name the finding


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--search", "("), "this is not a regular expression"),
        (
            ("--modality", "x"),
            "its modalities are CT, MR, OCT, any, dermoscopy, fundus, mammography, ultrasound, x-ray",
        ),
    ],
    ids=["expression", "modality"],
)
def test_a_filter_without_a_result_is_explained(arguments: tuple[str, ...], message: str) -> None:
    result = run("labels", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr
