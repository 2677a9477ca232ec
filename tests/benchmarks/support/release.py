"""The model that a benchmark runs: a folder that the user names, or the generated checkpoint."""

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml

ROOT = Path(__file__).parents[3]
PARITY = ROOT / "tests" / "parity"
Size = Literal["small", "full"]


@dataclass(frozen=True)
class Release:
    """A release folder; `size` is set when it is the generated one, whose right answers are known."""

    folder: Path
    size: Size | None

    @property
    def weights(self) -> Path:
        return next(path for path in sorted((self.folder / "vision_model").iterdir()) if path.is_file())


def add_options(parser: argparse.ArgumentParser, default_size: Size) -> None:
    """The options that all benchmarks share."""
    parser.add_argument("--model", type=Path, help="release folder to use (default: the generated one of --size)")
    parser.add_argument("--size", choices=["small", "full"], default=default_size, help="default: %(default)s")
    parser.add_argument(
        "--workdir", type=Path, default=Path(tempfile.gettempdir()) / "medimageinsight-benchmarks",
        help="holds generated checkpoints, the reference's virtual environment and logs (default: %(default)s)",
    )  # fmt: skip


def release_of(options: argparse.Namespace) -> Release:
    """The release that the options name, generated if it is not there yet."""
    options.workdir.mkdir(parents=True, exist_ok=True)
    if options.model is not None:
        folder: Path = options.model.resolve()
        return Release(folder, None)
    return Release(generated(options.workdir, options.size), options.size)


def generated(workdir: Path, size: Size) -> Path:
    """The deterministic checkpoint of `tests/parity/make_checkpoint.py`, written on first use (full: 2.5 GB, 20 s)."""
    parent = workdir / "checkpoints" / size
    done = parent / "complete"
    if not done.exists():
        print(f"writing the {size} checkpoint to {parent}", flush=True)
        subprocess.run([sys.executable, "-m", "tests.parity.make_checkpoint", size, str(parent)], check=True, cwd=ROOT)
        done.touch()
    return next(path.parent for path in sorted(parent.glob("*/config.yaml")))


def warm_file_cache(path: Path) -> None:
    """Read a file through once, so that both sides of a comparison find it in memory."""
    buffer = bytearray(1 << 24)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def peer_folder(release: Release, workdir: Path) -> Path:
    """The release as the package `MedImageInsights` wants it: links, another tokenizer name, an edited config."""
    folder = workdir / "peer_folders" / (release.size or release.folder.name)
    config = yaml.safe_load((release.folder / "config.yaml").read_text(encoding="utf-8"))
    config["UNICL_MODEL"]["LOAD_PRETRAINED"] = False  # else it fetches weights from a hub
    tokenizer = next(path.parent for path in sorted((release.folder / "language_model").rglob("vocab.json")))
    _link(folder / "vision_model" / release.weights.name, release.weights)
    _link(folder / "language_model" / "clip_tokenizer_v4162", tokenizer)
    (folder / "config.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    return folder


def golden(size: Size) -> tuple[Path, Path]:
    """The vectors that the reference computed for a generated checkpoint, and their texts."""
    return PARITY / f"expected_{size}.npz", PARITY / f"expected_{size}.json"


def _link(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.unlink(missing_ok=True)
    link.symlink_to(target.resolve(), target_is_directory=target.is_dir())


def input_data(column: str, values: list[str], params: dict[str, Any] | None = None) -> dict[str, Any]:
    """A request's body, one row a value."""
    rows = [[value] for value in values]
    return {"input_data": {"columns": [column], "index": list(range(len(rows))), "data": rows}, "params": params or {}}
