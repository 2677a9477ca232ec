"""Train the embedded model from scratch: `python -m recipes.demo_model labelled_images_128px.zip`.

Everything intermediate lies in `build/demo-model`; an interrupted training goes on where it stopped.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is imported

import argparse
from pathlib import Path

from recipes.demo_model.recipe import MODEL, pack, prepare, train

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("archive", type=Path, help="the zip of labelled images")
    parser.add_argument("--work", type=Path, default=Path("build/demo-model"), help="where intermediate files go")
    parser.add_argument("--out", type=Path, default=MODEL, help="the release folder to write")
    given = parser.parse_args()
    manifest, start = prepare(given.archive, given.work)
    pack(train(manifest, start, given.work), given.out)
