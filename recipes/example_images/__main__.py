"""Draw the example pictures of the page at /: `python -m recipes.example_images app/web/static/examples`."""

import argparse
from pathlib import Path

from recipes.example_images.recipe import draw_all

if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m recipes.example_images", description=__doc__)
    parser.add_argument("folder", type=Path, metavar="OUT_FOLDER", help="folder of the files; it is made if needed")
    draw_all(parser.parse_args().folder)
