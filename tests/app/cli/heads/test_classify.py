"""The command `classify`: files, folders and tables, by ad-hoc labels and by heads, to a file or the terminal."""

import csv
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from click.testing import CliRunner, Result

from app.cli.main import main
from model.engine import EmbeddingEngine
from model.heads.head import Head
from model.heads.head_folder import load_head, save_head
from model.heads.scorers.layers import LayersScorer
from model.heads.scorers.zero_shot import ZeroShotScorer
from model.imaging.preprocessing import Preprocessing
from model.imaging.rendering import Rendering
from tests.conftest import IMAGES
from tests.support.samples import damaged, image_vector, picture, png, saved, text_vector
from tests.support.servers.serving import serving

LABELS = ("x-ray chest", "ct head", "dermoscopy skin melanoma")
AD_HOC = [word for label in LABELS for word in ("--label", label)]
HEADER = ["path", "head", "rank", "label", "score", "call", "value"]


def classify(release: Path | str, *arguments: str | Path) -> Result:
    """Classify with the model in this process."""
    command = ["classify", *map(str, arguments), "--model", str(release), "--device", "cpu", "--no-cache"]
    return CliRunner().invoke(main, command, catch_exceptions=False)


def lines_of(output: Path) -> list[dict[str, str]]:
    with output.open(encoding="utf-8", newline="") as stream:
        reader = csv.DictReader(stream)
        assert reader.fieldnames == HEADER
        return list(reader)


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """A folder with the images 0.png and a/1.jpg, and a text file."""
    folder = tmp_path / "scans"
    (folder / "a").mkdir(parents=True)
    (folder / "0.png").write_bytes(png())
    (folder / "a" / "1.jpg").write_bytes(saved(picture(1), "JPEG"))
    (folder / "notes.txt").write_text("not an image, and not named as one")
    return folder


@pytest.fixture(scope="module")
def model(engine: EmbeddingEngine) -> dict[str, str]:
    """The identity of the small model, as a head stores it."""
    return {"name": engine.release.name, "weights_sha256": engine.release.weights_sha256()}


@pytest.fixture
def equalized(tmp_path: Path, engine: EmbeddingEngine, model: dict[str, str]) -> Path:
    """A zero-shot head with negatives, and with a preprocessing of its own."""
    present, absent = (
        np.stack([text_vector(engine, text) for text in texts]) for texts in (("one", "two"), ("no one", "no two"))
    )
    preprocessing = Preprocessing(None, Rendering(contrast="equalize"))
    scorer = ZeroShotScorer(present, absent, engine.logit_scale)
    save_head(Head("zero_shot", ("one", "two"), "softmax", scorer, model, preprocessing), tmp_path / "equalized")
    return tmp_path / "equalized"


@pytest.fixture
def age(tmp_path: Path, engine: EmbeddingEngine, model: dict[str, str]) -> Path:
    """A regression head."""
    layers = LayersScorer.from_tensors(linear(engine.embedding_size, 1), "identity")
    save_head(Head("linear", ("age_months",), "identity", layers, model), tmp_path / "age")
    return tmp_path / "age"


def linear(embedding_size: int, labels: int) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    return {"0.weight": torch.randn(labels, embedding_size, generator=generator), "0.bias": torch.full((labels,), 60.0)}


def test_the_demonstration_model_shows_a_sensible_table() -> None:
    texts = ("computed tomography", "mri breast", "chest x-ray")
    result = classify("", IMAGES / "ct_gray.png", *(word for text in texts for word in ("--label", text)))
    assert result.exit_code == 0, result.output
    header, line = result.stdout.splitlines()
    assert header.split() == ["path", "labels"]
    assert re.fullmatch(rf"{IMAGES}/ct_gray.png  computed tomography (0\.[5-9]\d|1\.00)", line)
    assert "1 images" in result.stderr


def test_a_file_has_one_line_per_image_and_label(
    scans: Path, tmp_path: Path, small_release: Path, engine: EmbeddingEngine
) -> None:
    out = tmp_path / "out.csv"
    result = classify(small_release, scans, *AD_HOC, "--template", "{}.", "-o", out)
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert f"{out}: 2 images" in result.stderr
    assert "skipped 1 file" in result.stderr
    lines = lines_of(out)
    assert [Path(line["path"]).name for line in lines] == ["0.png"] * 3 + ["1.jpg"] * 3
    assert [line["rank"] for line in lines] == ["1", "2", "3"] * 2
    assert {(line["head"], line["call"], line["value"]) for line in lines} == {("labels", "", "")}
    texts = np.stack([text_vector(engine, f"{label}.") for label in LABELS])
    powers = np.exp(np.exp(engine.logit_scale) * texts @ image_vector(engine, png()))
    expected = dict(zip(LABELS, powers / powers.sum(), strict=True))
    assert {line["label"]: float(line["score"]) for line in lines[:3]} == pytest.approx(expected, abs=1e-4)
    assert [line["label"] for line in lines[:3]] == sorted(LABELS, key=expected.__getitem__, reverse=True)


def test_several_heads_each_with_its_own_preprocessing(
    scans: Path, equalized: Path, age: Path, tmp_path: Path, small_release: Path, engine: EmbeddingEngine
) -> None:
    out = tmp_path / "out.csv"
    result = classify(small_release, scans / "0.png", *AD_HOC, "--head", equalized, "--head", age, "-o", out)
    assert result.exit_code == 0, result.output
    lines = lines_of(out)
    assert [line["head"] for line in lines] == ["labels"] * 3 + ["equalized"] * 2 + ["age"]
    pixels = engine.preprocess_image(png(), None, Rendering(contrast="equalize"))
    (vector,) = engine.embed_images([engine.stage_images([pixels])])
    scores = dict(zip(("one", "two"), load_head(equalized).scores(vector[None])[0], strict=True))
    assert {line["label"]: float(line["score"]) for line in lines[3:5]} == pytest.approx(scores, abs=1e-4)
    plain = image_vector(engine, png())[None]
    assert float(lines[5]["value"]) == pytest.approx(load_head(age).scores(plain)[0, 0], abs=1e-3)
    assert lines[5]["label"] == "age_months"
    assert lines[5]["score"] == ""


def test_images_are_embedded_once_per_different_preprocessing(
    scans: Path, equalized: Path, small_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[int] = []
    embed_images, load_engine = EmbeddingEngine.embed_images, EmbeddingEngine.load

    def counted(self: EmbeddingEngine, staged: Any, **options: Any) -> Any:
        counts.append(sum(map(len, staged)))
        return embed_images(self, staged, **options)

    def loaded(*given: Any, **options: Any) -> EmbeddingEngine:
        counts.append(-1)
        return load_engine(*given, **options)

    shutil.copytree(equalized, equalized.with_name("same"))
    monkeypatch.setattr(EmbeddingEngine, "embed_images", counted)
    monkeypatch.setattr(EmbeddingEngine, "load", loaded)
    heads = ("--head", equalized, "--head", equalized.with_name("same"))
    assert classify(small_release, scans, *AD_HOC, *heads).exit_code == 0
    assert counts.count(-1) == 1
    assert counts[-2:] == [2, 2]


def test_each_label_by_itself(scans: Path, equalized: Path, tmp_path: Path, small_release: Path) -> None:
    out = tmp_path / "out.csv"
    assert classify(small_release, scans, "--head", equalized, "--multi-label", "-o", out).exit_code == 0
    by_itself = [float(line["score"]) for line in lines_of(out)]
    assert classify(small_release, scans, "--head", equalized, "-o", out).exit_code == 0
    together = [float(line["score"]) for line in lines_of(out)]
    assert sum(together) == pytest.approx(2, abs=1e-4)
    assert sum(by_itself) != pytest.approx(2, abs=1e-4)


@pytest.mark.parametrize(("suffix", "separator"), [("csv", ","), ("tsv", "\t")])
def test_the_images_of_a_table_in_its_own_folder(
    scans: Path, tmp_path: Path, small_release: Path, suffix: str, separator: str
) -> None:
    table = scans / f"rows.{suffix}"
    rows = [("path", "label"), ("a/1.jpg", "x"), ("missing.png", "y"), ("0.png", "z"), ("a/1.jpg", "x")]
    table.write_text("\n".join(separator.join(row) for row in rows) + "\n")
    out = tmp_path / "out.csv"
    result = classify(small_release, table, *AD_HOC, "--top-k", "1", "-o", out)
    assert result.exit_code == 1
    assert f"left out row 2 of {table}: the column path names no image file" in result.stderr
    assert "3 images, 1 left out" in result.stderr
    assert [line["path"] for line in lines_of(out)] == [f"{scans}/a/1.jpg", f"{scans}/0.png", f"{scans}/a/1.jpg"]
    (tmp_path / "empty").mkdir()
    beside = classify(small_release, tmp_path / "empty", table, *AD_HOC)
    assert "3 images, 1 left out" in beside.stderr


def test_parquet_has_the_same_columns_with_numbers(scans: Path, age: Path, tmp_path: Path, small_release: Path) -> None:
    odd = scans / os.fsdecode(b"\xff.png")
    (scans / "0.png").rename(odd)
    out = tmp_path / "out.parquet"
    result = classify(small_release, odd, *AD_HOC, "--head", age, "--top-k", "2", "-o", out)
    assert result.exit_code == 0, result.output
    table = pq.read_table(out)
    assert table.column_names == HEADER
    rows = table.to_pylist()
    assert [row["rank"] for row in rows] == [1, 2, 1]
    assert isinstance(rows[0]["score"], float)
    assert rows[0]["value"] is None
    assert rows[2]["score"] is None
    assert rows[2]["path"] == f"{scans}/\\xff.png"


def test_unreadable_images_are_listed_and_left_out(scans: Path, equalized: Path, small_release: Path) -> None:
    (scans / "cut.png").write_bytes(damaged())
    result = classify(small_release, scans, *AD_HOC, "--head", equalized)
    assert result.exit_code == 1
    assert result.stderr.count(f"left out {scans}/cut.png: the PNG image is ") == 1  # not once per preprocessing
    assert "2 images, 1 left out" in result.stderr
    assert len(result.stdout.splitlines()) == 3


def test_strict_stops_at_an_unreadable_image(scans: Path, tmp_path: Path, small_release: Path) -> None:
    (scans / "cut.png").write_bytes(damaged())
    result = classify(small_release, scans, *AD_HOC, "--strict", "-o", tmp_path / "out.csv")
    assert result.exit_code == 2
    assert f"medimageinsight: {scans}/cut.png: the PNG image is " in result.stderr
    assert not list(tmp_path.glob("out.csv*"))


def test_only_unreadable_images_write_nothing(tmp_path: Path, small_release: Path) -> None:
    (tmp_path / "cut.png").write_bytes(damaged())
    result = classify(small_release, tmp_path / "cut.png", *AD_HOC, "-o", tmp_path / "out.csv")
    assert result.exit_code == 1
    assert "no image can be read (1 failed)" in result.stderr
    assert not (tmp_path / "out.csv").exists()


def test_control_characters_do_not_reach_the_terminal(scans: Path, small_release: Path) -> None:
    (scans / "0.png").rename(scans / "\x1b[31m.png")
    result = classify(small_release, scans, "--label", "red\x07", "--label", "red\x08")
    assert result.exit_code == 0
    assert "\ufffd[31m.png  red\ufffd " in result.stdout
    assert not {"\x1b", "\x07", "\x08"} & set(result.stdout)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "name labels (--label), or a head (--head)"),
        (("--label", "a"), "at least two labels"),
        (("--label", "a", "--label", "a"), "label number 2 repeats the label 'a'"),
        ((*AD_HOC, "--max-labels", "2"), "there are 3 labels, but MAX_LABELS is 2"),
        ((*AD_HOC, "--top-k", "0"), "0 is not in the range"),
        ((*AD_HOC, "--multi-label", "--head", "scans"), "--label cannot give; make a head with head make --prompts"),
        (("--head", "age", "--multi-label"), "medimageinsight: head age: the head predicts a number"),
        ((*AD_HOC, "-o", "out.txt"), "--output must end in .csv or .parquet"),
        ((*AD_HOC, "-o", "missing/out.csv"), "--output names a file in a folder that does not exist"),
        (("--head", "equalized", "--template", "{}."), "--template belongs to --label"),
        (("--head", "equalized", "--dicom-window", "lung"), "flags of the preprocessing belong to --label"),
        (("--head", "scans"), "scans has no head"),
        (("--head", "equalized", "--head", "other/equalized"), "two heads have the name equalized"),
        ((*AD_HOC, "--head", "labels"), "the head of --label has the name labels"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_wrong_arguments_are_refused(
    scans: Path,
    equalized: Path,
    age: Path,
    small_release: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    shutil.copytree(equalized, equalized.parent / "other" / "equalized")
    shutil.copytree(equalized, equalized.parent / "labels")
    assert age.parent == scans.parent
    monkeypatch.chdir(scans.parent)
    result = classify(small_release, "scans", *arguments)
    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", " ")


def test_a_head_of_other_weights_is_refused(scans: Path, equalized: Path) -> None:
    result = classify("", scans, "--head", equalized)
    assert result.exit_code == 2
    assert "the head equalized cannot be used: the head was made with other weights" in result.stderr


@pytest.fixture(scope="module")
def url(small_release: Path) -> Iterator[str]:
    with serving(small_release) as url:
        yield url


def test_a_server_computes_the_embeddings(
    scans: Path, equalized: Path, age: Path, tmp_path: Path, small_release: Path, url: str
) -> None:
    heads = ("--head", equalized, "--head", age)
    assert classify(small_release, scans, *AD_HOC, *heads, "-o", tmp_path / "here.csv").exit_code == 0
    command = ["classify", scans, *AD_HOC, *heads, "-o", tmp_path / "there.csv", "--server", url, "--no-cache"]
    result = CliRunner().invoke(main, [str(word) for word in command], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    here, there = lines_of(tmp_path / "here.csv"), lines_of(tmp_path / "there.csv")
    for one, other in zip(here, there, strict=True):
        assert [one[name] for name in ("path", "head", "rank", "label")] == [
            other[name] for name in ("path", "head", "rank", "label")
        ]
        assert float(one["score"] or one["value"]) == pytest.approx(float(other["score"] or other["value"]), abs=1e-3)
