"""Train the demonstration model from scratch: `python -m recipes.demo_model labelled_images_128px.zip`.

Intermediate files are in `build/demo-model`. After an interruption, the same command resumes the training.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # must be set before torch is imported

import argparse
from pathlib import Path

from recipes.demo_model.recipe import MODEL, pack, prepare, train

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path, help="zip file of the labelled images")
    parser.add_argument("--work", type=Path, default=Path("build/demo-model"), help="folder of the intermediate files")
    parser.add_argument("--out", type=Path, default=MODEL, help="release folder to write")
    given = parser.parse_args()
    manifest, start = prepare(given.archive, given.work)
    pack(train(manifest, start, given.work), given.out)
