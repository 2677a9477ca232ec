"""Pictures of DICOM files, decoded and rendered by DCMTK's dcmj2pnm, and dcml2pnm for JPEG-LS."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

PROGRAMS = ("dcmj2pnm", "dcml2pnm")
INSTALLED = all(shutil.which(name) for name in PROGRAMS)
USUAL = ("--quiet", "--no-overlays", "--write-raw-pnm")
TIMEOUT_S = 60

Picture = NDArray[np.float64]


class Unreadable(Exception):
    """DCMTK does not read the file."""


def pictures(path: Path, options: Sequence[str] = (), *, jpeg_ls: bool = False) -> list[Picture]:
    """All frames, each (H, W) greys or (H, W, 3) colours. Pictures are written beside the file.

    Args:
        path: the file.
        options: further options of the program, such as the choice of a window.
        jpeg_ls: True for a JPEG-LS file.

    Raises:
        Unreadable: DCMTK does not read the file.
    """
    _run("--all-frames", *options, str(path), str(path.with_suffix("")), jpeg_ls=jpeg_ls)
    frames = sorted(path.parent.glob(f"{path.stem}.*.p[gp]m"), key=lambda frame: int(frame.suffixes[0][1:]))
    return [_read(frame) for frame in frames]


def picture(path: Path, options: Sequence[str] = (), *, frame: int = 0, jpeg_ls: bool = False) -> Picture:
    """One frame, counted from 0, as `pictures`."""
    target = path.with_suffix(".pnm")
    _run("--frame", str(frame + 1), *options, str(path), str(target), jpeg_ls=jpeg_ls)
    return _read(target)


def exact_window(center: float, width: float) -> tuple[str, str, str]:
    """Options for the window whose LINEAR (PS3.3 C.11.2.1.2.1) is the LINEAR_EXACT (C.11.2.1.3.2) of another one."""
    return "--set-window", f"{center + 0.5}", f"{width + 1}"


def _run(*arguments: str, jpeg_ls: bool) -> None:
    command = [PROGRAMS[jpeg_ls], *USUAL, *arguments]
    done = subprocess.run(command, capture_output=True, timeout=TIMEOUT_S, check=False)
    if done.returncode:
        raise Unreadable(f"{command[0]}: exit status {done.returncode}")


def _read(path: Path) -> Picture:
    return np.asarray(Image.open(path), dtype=np.float64)
