"""The model of a benchmark: a release folder that the user names, or the generated checkpoint."""

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
    """A release folder. `size` is set for a generated checkpoint, whose golden vectors are known."""

    folder: Path
    size: Size | None

    @property
    def weights(self) -> Path:
        return next(path for path in sorted((self.folder / "vision_model").iterdir()) if path.is_file())


def add_options(parser: argparse.ArgumentParser, default_size: Size) -> None:
    """Add the options that all benchmarks share."""
    parser.add_argument("--model", type=Path, help="release folder (default: the generated checkpoint of --size)")
    parser.add_argument("--size", choices=["small", "full"], default=default_size,
                        help="size of the generated checkpoint (default: %(default)s)")  # fmt: skip
    parser.add_argument(
        "--workdir", type=Path, default=Path(tempfile.gettempdir()) / "medimageinsight-benchmarks",
        help="folder for generated checkpoints, virtual environments of the peers and logs (default: %(default)s)",
    )  # fmt: skip


def release_of(options: argparse.Namespace) -> Release:
    """The release of the options; a missing checkpoint is generated."""
    options.workdir.mkdir(parents=True, exist_ok=True)
    if options.model is not None:
        folder: Path = options.model.resolve()
        return Release(folder, None)
    return Release(generated(options.workdir, options.size), options.size)


def generated(workdir: Path, size: Size) -> Path:
    """The folder of the deterministic checkpoint, which is written on first use (full: 2.5 GB, 20 s)."""
    parent = workdir / "checkpoints" / size
    done = parent / "complete"
    if not done.exists():
        print(f"writing the {size} checkpoint to {parent}", flush=True)
        subprocess.run([sys.executable, "-m", "tests.parity.make_checkpoint", size, str(parent)], check=True, cwd=ROOT)
        done.touch()
    return next(path.parent for path in sorted(parent.glob("*/config.yaml")))


def warm_file_cache(path: Path) -> None:
    """Read a whole file once, so that both servers of a comparison find it in the file cache."""
    buffer = bytearray(1 << 24)
    with path.open("rb", buffering=0) as file:
        while file.readinto(buffer):
            pass


def peer_folder(release: Release, workdir: Path) -> Path:
    """The release in the layout of the package `MedImageInsights`: links, another tokenizer name, an edited config."""
    folder = workdir / "peer_folders" / (release.size or release.folder.name)
    config = yaml.safe_load((release.folder / "config.yaml").read_text(encoding="utf-8"))
    config["UNICL_MODEL"]["LOAD_PRETRAINED"] = False  # otherwise it downloads weights from a hub
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
    """A request body with one row per value."""
    rows = [[value] for value in values]
    return {"input_data": {"columns": [column], "index": list(range(len(rows))), "data": rows}, "params": params or {}}
