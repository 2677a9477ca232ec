"""The reference server: the package `MedImageInsights` in its own virtual environment.

All packages that it installs are pinned to the versions with which the published figures were measured: the same
torch, timm and transformers as ours. mpi4py is installed but never imported here, so no MPI library is needed.
"""

import os
import subprocess
import sys
from pathlib import Path

from tests.benchmarks.support.release import Release, peer_folder
from tests.benchmarks.support.servers import HOST, ServerCommand

REQUIREMENTS = (
    "MedImageInsights==0.1.1", "torch==2.14.1", "torchvision==0.29.1", "timm==1.0.31", "transformers==5.23.0",
    "mpi4py==4.1.2", "mup==1.0.0", "fvcore==0.1.5.post20221221", "numpy==2.4.6", "Pillow==13.0.0", "fastapi==0.165.0",
    "uvicorn[standard]==0.54.0",
)  # fmt: skip


def peer_command(release: Release, workdir: Path) -> ServerCommand:
    """The command of the reference server for a release; makes its virtual environment on first use (several GB)."""
    python = peer_python(workdir)
    argv = (str(python), "-m", "uvicorn", "--app-dir", str(Path(__file__).parent), "reference_app:app",
            "--host", HOST, "--port", "{port}", "--log-level", "warning")  # fmt: skip
    return ServerCommand("reference", argv, {"PEER_FOLDER": str(peer_folder(release, workdir))})


def peer_python(workdir: Path) -> Path:
    """The interpreter of the reference's virtual environment. TORCH_INDEX is the index for torch, as in make."""
    folder = workdir / "reference_venv"
    python, done = folder / "bin" / "python", folder / "installed.txt"
    wanted = "\n".join(REQUIREMENTS)
    if done.exists() and done.read_text() == wanted:
        return python
    print(f"installing the reference package into {folder}", flush=True)
    subprocess.run([sys.executable, "-m", "venv", "--clear", str(folder)], check=True)
    index = os.environ.get("TORCH_INDEX")
    extra = ["--extra-index-url", index] if index else []
    subprocess.run([str(python), "-m", "pip", "install", "-qq", *extra, *REQUIREMENTS], check=True)
    done.write_text(wanted)
    return python
