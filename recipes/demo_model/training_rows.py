"""Training manifest of the labelled images: labels, shares of a batch, and flipped or rotated copies."""

import csv
import zipfile
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

MANIFEST = "manifest.csv"
COLUMNS = ("path", "text", "label", "modality", "split", "group", "source", "stratum")
# Share of each stratum (source/label) in a batch. MedNIST has three quarters of the images and is easy. Labels that are
# hard and rare (pneumonia, breast tumours, melanoma) get large shares.
SHARES = {
    "mednist/ct abdomen": 0.025,
    "mednist/ct chest": 0.025,
    "mednist/ct head": 0.025,
    "mednist/mri breast": 0.025,
    "mednist/x-ray chest": 0.025,
    "mednist/x-ray hand": 0.025,
    "bccd/blood smear microscopy": 0.03,
    "bccd/blood smear microscopy platelet": 0.025,
    "bccd/blood smear microscopy red blood cell": 0.035,
    "bccd/blood smear microscopy white blood cell": 0.03,
    "isic_uda1/dermoscopy skin nevus": 0.075,
    "isic_uda1/dermoscopy skin melanoma": 0.075,
    "busi/ultrasound breast normal": 0.06,
    "busi/ultrasound breast benign tumor": 0.09,
    "busi/ultrasound breast malignant tumor": 0.08,
    "kermany_cxr/x-ray chest no finding": 0.06,
    "kermany_cxr/x-ray chest pneumonia": 0.07,
    "nih_cxr/x-ray chest no finding": 0.11,
    "nih_cxr/x-ray chest pneumonia": 0.11,
}
# Radiographs, CT and MRI are not flipped, because left and right are part of a finding. A flipped breast ultrasound
# looks the same, and blood smears and moles have no orientation.
MIRROR = Image.Transpose.FLIP_LEFT_RIGHT
TRANSPOSES = {
    "busi": (MIRROR,),
    "bccd": (MIRROR, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_180),
    "isic_uda1": (MIRROR, Image.Transpose.FLIP_TOP_BOTTOM, Image.Transpose.ROTATE_180),
}


def unpack(archive: Path, folder: Path) -> None:
    """Unpack the images, unless the folder already has a manifest."""
    if not any(folder.glob(f"**/{MANIFEST}")):
        with zipfile.ZipFile(archive) as opened:
            opened.extractall(folder)


def write_training_manifest(folder: Path) -> Path:
    """Write `training.csv` beside the manifest of the images, and the flipped or rotated copies. Returns its path."""
    source = next(path for path in sorted(folder.glob(f"**/{MANIFEST}")))
    target = source.parent / "training.csv"
    with source.open(encoding="utf-8", newline="") as given, target.open("w", encoding="utf-8", newline="") as out:
        writer = csv.DictWriter(out, COLUMNS, extrasaction="ignore")
        writer.writeheader()
        for row in csv.DictReader(given):
            writer.writerows(_training_rows(row, source.parent))
    return target


def label_of(text: str) -> str:
    """The label of a manifest's text. The label of a chest x-ray omits its view and its other findings."""
    if text.startswith("x-ray chest "):
        return "x-ray chest no finding" if text.endswith("no finding") else "x-ray chest pneumonia"
    return text


def _training_rows(row: dict[str, str], folder: Path) -> Iterator[dict[str, str]]:
    label = label_of(row["label"])
    described = {**row, "text": row["label"], "label": label, "stratum": f"{row['source']}/{label}"}
    yield described
    if row["split"] != "train":
        return
    for transpose in TRANSPOSES.get(row["source"], ()):
        path = Path("turned") / transpose.name.lower() / Path(row["path"]).with_suffix(".png")
        if not (folder / path).is_file():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            with Image.open(folder / row["path"]) as image:
                image.transpose(transpose).save(folder / path)
        yield {**described, "path": path.as_posix()}
