"""Evaluation of the model card: the demonstration model on the validation split.

Run `python -m recipes.demo_model.evaluate build/demo-model/images/training.csv`.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # must be set before torch is imported

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from model.data.image_source import ImageSource
from model.data.manifest import Row, read_manifest
from model.engine import EmbeddingEngine
from model.evaluation.evaluate import evaluate_zero_shot
from recipes.demo_model.recipe import MODEL
from recipes.demo_model.training_rows import SHARES

LABELS = sorted({stratum.partition("/")[2] for stratum in SHARES})
UNSPECIFIC = "x-ray chest"  # MedNIST has no findings of its chest x-rays
MODALITIES = {
    "ct": "ct",
    "mri": "mri",
    "x-ray": "x-ray",
    "ultrasound": "ultrasound",
    "microscopy": "microscopy",
    "dermoscopy": "dermoscopy",
}
# Wordings that are not among the training texts.
UNSEEN_WORDINGS = {
    "ct abdomen": "transverse computed tomography image through the abdomen",
    "ct chest": "thorax computed tomography, lungs",
    "ct head": "computed tomography scan showing the brain of a patient",
    "mri breast": "mri examination of both breasts",
    "x-ray chest": "plain radiograph of a patient's chest",
    "x-ray hand": "radiograph showing the bones of a hand",
    "x-ray chest no finding": "unremarkable radiograph of the chest, no abnormality",
    "x-ray chest pneumonia": "radiograph of the chest with signs of pneumonia",
    "ultrasound breast normal": "ultrasound image of healthy breast tissue, no mass",
    "ultrasound breast benign tumor": "ultrasound image of the breast, benign appearing mass",
    "ultrasound breast malignant tumor": "ultrasound image of the breast, malignant appearing mass",
    "blood smear microscopy": "microscopy image of a stained blood smear with many cells",
    "blood smear microscopy red blood cell": "microscopy image of one erythrocyte",
    "blood smear microscopy white blood cell": "microscopy image of one leukocyte",
    "blood smear microscopy platelet": "microscopy image of one platelet",
    "dermoscopy skin nevus": "dermoscopy image of a benign nevus",
    "dermoscopy skin melanoma": "dermoscopy image of a malignant melanoma",
}


def evaluate_all(engine: EmbeddingEngine, rows: Sequence[Row], folder: Path) -> dict[str, dict[str, Any]]:
    """Metrics of each test, by its name.

    Args:
        engine: the model.
        rows: rows of the validation split.
        folder: folder for changed copies of the images.
    """
    specific = [label for label in LABELS if label != UNSPECIFIC]
    chest = ["x-ray chest no finding", "x-ray chest pneumonia"]
    breast = [label for label in LABELS if label.startswith("ultrasound breast")]
    mednist = [row for row in rows if row.columns["source"] == "mednist"]
    same = {label: label for label in LABELS}

    def zero_shot(rows: Sequence[Row], prompts: Mapping[str, Any], column: str = "label") -> dict[str, Any]:
        return evaluate_zero_shot(engine, rows, prompts, label_column=column)

    tests = {
        "16 labels": zero_shot(rows, _only(same, specific)),
        "17 labels, with x-ray chest": zero_shot(rows, same),
        "modality, by its labels": zero_shot(rows, _labels_of_modalities(rows), "modality"),
        "modality, by its name only": zero_shot(rows, MODALITIES, "modality"),
        "chest x-ray, pneumonia": zero_shot(rows, _only(same, chest)),
        "breast ultrasound": zero_shot(rows, _only(same, breast)),
        "skin": zero_shot(rows, {label: label for label in LABELS if label.startswith("dermoscopy")}),
        "blood": zero_shot(rows, {label: label for label in LABELS if label.startswith("blood")}),
        "16 labels, unseen wordings": zero_shot(rows, _only(UNSEEN_WORDINGS, specific)),
        "MedNIST, among 17 labels": zero_shot(mednist, same),
    }
    for source in ("nih_cxr", "kermany_cxr"):
        tests[f"pneumonia, {source}"] = zero_shot(
            [r for r in rows if r.columns["source"] == source], _only(same, chest)
        )
    for name, change in CHANGES.items():
        changed = _changed(rows, change, folder / name.replace(" ", "_"))
        tests[f"16 labels, {name}"] = zero_shot(changed, _only(same, specific))
        changed_mednist = [row for row in changed if row.columns["source"] == "mednist"]
        tests[f"MedNIST, among 17 labels, {name}"] = zero_shot(changed_mednist, same)
    return tests


def _only(prompts: Mapping[str, str], labels: Sequence[str]) -> dict[str, str]:
    return {label: prompts[label] for label in labels}


def _labels_of_modalities(rows: Sequence[Row]) -> dict[str, list[str]]:
    return {
        modality: sorted({row.label for row in rows if row.columns["modality"] == modality}) for modality in MODALITIES
    }


def _enlarged(image: Image.Image) -> Image.Image:
    return image.resize((512, 512 * image.height // image.width), Image.Resampling.LANCZOS)


def _windowed(low: float, high: float) -> Callable[[Image.Image], Image.Image]:
    def change(image: Image.Image) -> Image.Image:
        values = np.asarray(_enlarged(image), np.float32) / 255
        return Image.fromarray(np.rint(np.clip((values - low) / (high - low), 0, 1) * 255).astype(np.uint8))

    return change


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "enlarged to 512": _enlarged,
    "enlarged, narrow window": _windowed(0.1, 0.75),
    "enlarged, wide window": _windowed(-0.25, 1.2),
}


def _changed(rows: Sequence[Row], change: Callable[[Image.Image], Image.Image], folder: Path) -> list[Row]:
    """The rows with changed copies of their images, which are written once."""
    folder.mkdir(parents=True, exist_ok=True)
    changed = []
    for row in rows:
        path = folder / f"{row.number}.png"
        if not path.is_file():
            image = row.decode()
            change(image if image.mode == "L" else image.convert("RGB")).save(path)
        changed.append(replace(row, image=ImageSource(path)))
    return changed


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("manifest", type=Path, help="training.csv in the images folder of the recipe")
    parser.add_argument("--model", type=Path, default=MODEL, help="release folder to evaluate")
    parser.add_argument("--work", type=Path, default=Path("build/demo-model"), help="folder of the changed images")
    parser.add_argument("--out", type=Path, help="JSON file of all metrics")
    given = parser.parse_args()
    engine = EmbeddingEngine.load(given.model, device="cpu")
    tests = evaluate_all(engine, read_manifest(given.manifest).with_split("val").rows, given.work / "changed")
    for name, test in tests.items():
        shown = (f"{metric} {_interval(test['metrics'][metric])}" for metric in ("balanced_accuracy", "macro_auc"))
        sys.stdout.write(f"{name} ({test['rows']} images): {', '.join(shown)}\n")
    if given.out:
        given.out.write_text(json.dumps(tests, indent=2), encoding="utf-8")


def _interval(estimate: Mapping[str, Any]) -> str:
    low, high = estimate["interval"]
    return f"{estimate['value']:.3f} ({low:.3f} to {high:.3f})"


if __name__ == "__main__":
    main()
