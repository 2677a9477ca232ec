"""`python -m tests.docker.compare_answer FILE [MODEL]`: compare a container's answer for the CT slice with ours.

FILE is the JSON answer. MODEL is a release folder, by default the demonstration model. Exits with 1 if they differ.
"""

import json
import sys
from pathlib import Path

import numpy as np

from model.checkpoints.release_folder import DEMO_MODEL
from model.engine import EmbeddingEngine

IMAGE = Path(__file__).parents[1] / "parity" / "images" / "ct_gray.png"
TOLERANCE = 1e-4  # another build of torch may round differently


def main(answer: str, model: str | Path = DEMO_MODEL) -> None:
    engine = EmbeddingEngine.load(Path(model), device="cpu")
    pixels = engine.preprocess_image(IMAGE.read_bytes())
    right = engine.embed_images([engine.stage_images([pixels])])[0]
    (row,) = json.loads(Path(answer).read_text(encoding="utf-8"))
    difference = float(np.abs(np.array(row["image_features"][0], np.float32) - right).max())
    print(f"largest difference: {difference:.1e}")
    sys.exit(difference > TOLERANCE)


if __name__ == "__main__":
    main(*sys.argv[1:])
