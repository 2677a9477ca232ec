"""What is checked before anything is embedded: columns, splits, labels and prompts."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from model.data.manifest import Manifest, read_manifest
from model.engine_embedder import EngineEmbedder
from model.errors import ManifestError
from model.evaluation.evaluate import evaluate
from model.evaluation.options import EvaluationOptions
from model.evaluation.plan import plan_evaluation
from model.evaluation.prompts import as_prompts
from tests.support.colour_engine import ColourEngine, colour_manifest, write_manifest

FEW = EvaluationOptions(samples=2)


def renamed(folder: Path, old: str, new: str, rows: int = 12) -> Manifest:
    """A manifest of colours in whose header, or cells, a name is replaced."""
    path = write_manifest(folder, rows)
    path.write_text(path.read_text().replace(old, new))
    return read_manifest(path, needs_text=False)


def nothing_embedded() -> Any:
    raise AssertionError("the engine is loaded")


def refusal(manifest: Manifest, options: EvaluationOptions = FEW, **given: Any) -> str:
    """The sentence of an evaluation that ends before it loads the engine."""
    with pytest.raises(ManifestError) as caught:
        evaluate(EngineEmbedder(nothing_embedded), manifest, options, **given)
    return str(caught.value)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("path,label,", "path,Label,", "has a column 'Label'; it must be called 'label'"),
        ("path,label,", "path, label ,", "has a column ' label '; it must be called 'label'"),
        (",group,", ",GROUP,", "has a column 'GROUP'; it must be called 'group'"),
        (",split,", ",Split,", "has a column 'Split'; it must be called 'split'"),
        (",text,", ",Text,", "has a column 'Text'; it must be called 'text'"),
        (",test,", ",Test,", "has the value 'Test'; it must be 'test'"),
    ],
)
def test_a_misspelt_column_or_split_is_named(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    assert sentence in refusal(renamed(tmp_path, old, new))


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (replace(FEW, by=("Sex",)), "has no column 'Sex'; it has 'sex'"),
        (replace(FEW, target="AGE"), "has no column 'AGE'; it has 'age'"),
        (replace(FEW, label_column="diagnosis"), "has no column diagnosis; its columns are 'path', 'label'"),
        (replace(FEW, by=("path",)), "36 different values"),
    ],
)
def test_a_column_of_the_options_that_is_missing_is_named(
    tmp_path: Path, options: EvaluationOptions, sentence: str
) -> None:
    assert sentence in refusal(colour_manifest(tmp_path, 36), options)


def test_a_misspelt_column_of_the_train_rows_is_named(tmp_path: Path) -> None:
    train = renamed(tmp_path, ",group,", ",Group,")
    assert "has a column 'Group'" in refusal(colour_manifest(tmp_path, 12), train=train)


def test_the_entries_of_the_report_are_known_from_the_plan(tmp_path: Path) -> None:
    manifest, options = colour_manifest(tmp_path, 12), EvaluationOptions(target="age", samples=0)
    planned = plan_evaluation(manifest, options).entries
    assert set(evaluate(EngineEmbedder(ColourEngine), manifest, options).report["tasks"]) <= set(planned)
    assert {"zero-shot", "image-to-image", "regression"} <= set(planned)
    assert "regression" not in plan_evaluation(manifest, EvaluationOptions(samples=0)).entries


def test_prompts_that_match_no_label_are_listed_with_the_labels(tmp_path: Path) -> None:
    prompts = as_prompts({f"Label\n{number}": "red" for number in range(9)})
    manifest = colour_manifest(tmp_path, 12)
    sentence = refusal(manifest, replace(FEW, tasks=("zero-shot", "knn")), prompts=prompts)
    assert sentence.startswith("no label of the rows has a prompt: the column label has ")
    assert "'red', 'green', 'blue'" in sentence
    assert r"'Label\n0'" in sentence
    assert sentence.endswith("and 4 more")
    assert "\n" not in sentence


def test_labels_without_prompts_and_prompts_without_rows_are_notes(tmp_path: Path) -> None:
    prompts = as_prompts({label: label for label in ("red", "green", "yellow")})
    plan = plan_evaluation(colour_manifest(tmp_path, 12), FEW, prompts=prompts)
    assert plan.notes == [
        "labels without a prompt, which do not count: 'blue'",
        "labels of the prompts that no row has: 'yellow'",
    ]


def test_prompts_that_match_every_label_need_no_note(tmp_path: Path) -> None:
    prompts = as_prompts({label: label for label in ("red", "green", "blue")})
    assert plan_evaluation(colour_manifest(tmp_path, 12), FEW, prompts=prompts).notes == []


@pytest.mark.parametrize(
    ("label", "tasks", "sentence"),
    [
        (lambda row: "", ("zero-shot",), "no row has a label in the column label"),
        (lambda row: " | ", ("knn",), "no row has a label in the column label"),
        (
            lambda row: "red",
            ("linear-probe",),
            "rows of at least two labels are needed; the column label has only 'red'",
        ),
        (lambda row: "red|blue", ("zero-shot",), "no row can be used: the row has several labels"),
    ],
)
def test_labels_that_no_task_can_use_end_the_evaluation(
    tmp_path: Path, label: Callable[[int], str], tasks: tuple[str, ...], sentence: str
) -> None:
    manifest = colour_manifest(tmp_path, 12)
    rows = tuple(replace(row, label=label(number)) for number, row in enumerate(manifest.rows))
    assert sentence in refusal(replace(manifest, rows=rows), replace(FEW, tasks=tasks, multi_label=False))


def test_a_note_does_not_stop_an_evaluation(tmp_path: Path) -> None:
    prompts = as_prompts({label: label for label in ("red", "green", "yellow blue")})
    options = replace(FEW, tasks=("zero-shot",))
    report = evaluate(EngineEmbedder(ColourEngine), colour_manifest(tmp_path, 12), options, prompts=prompts).report
    assert len(report["notes"]) == 2
    assert report["tasks"]["zero-shot"]["rows"] == 8
