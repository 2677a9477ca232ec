"""Stored values of DICOM files, decoded by GDCM in a process per file: it aborts its process on some of them."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import gdcm
import numpy as np
from numpy.typing import NDArray

from tests.support.judges.standard import Values, rgb_of_ybr

ROOT = Path(__file__).parents[3]
_TYPES = {8: "u1", 16: "u2", 32: "u4"}
_YBR = ("YBR_FULL", "YBR_FULL_422")  # GDCM leaves these as they are, and decodes YBR_RCT and YBR_ICT to RGB


def stored_values(paths: Sequence[Path], folder: Path, *, ends_only: bool = False) -> list[Values | None]:
    """Stored values of the frames per file; None where GDCM does not read the file.

    Args:
        paths: the files.
        folder: a folder without `.npy` files, for the values.
        ends_only: True takes only the first and the last frame of each file.

    Returns:
        Per file (frames, H, W) for one sample per pixel, or (frames, H, W, 3) for colours, which are RGB.
    """
    results = [folder / f"{number}.npy" for number in range(len(paths))]
    jobs = "".join(f"{path}\0{result}\n" for path, result in zip(paths, results, strict=True))
    command = [sys.executable, "-m", __name__, *(["ends"] if ends_only else [])]
    subprocess.run(command, input=jobs, capture_output=True, text=True, cwd=ROOT, check=True)
    return [np.load(result) if result.exists() else None for result in results]


def _main() -> None:
    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    for job in sys.stdin.read().splitlines():
        if os.fork():
            os.wait()
            continue
        path, result = job.split("\0")
        if (values := _frames(path, ends_only="ends" in sys.argv)) is not None:
            np.save(result, values)
        os._exit(0)


def _frames(path: str, *, ends_only: bool) -> Values | None:
    reader = gdcm.ImageReader()
    reader.SetFileName(path)
    image = reader.GetImage() if reader.Read() else None
    text = image.GetBuffer() if image is not None else None
    if image is None or text is None:
        return None
    kind, (columns, rows, *dimensions) = image.GetPixelFormat(), image.GetDimensions()
    samples, photometric = kind.GetSamplesPerPixel(), str(image.GetPhotometricInterpretation())
    frames = dimensions[0] if dimensions else 1
    cells = _cells(text.encode("utf-8", "surrogateescape"), kind).reshape(frames, -1)
    values = _samples(cells[sorted({0, frames - 1})] if ends_only else cells, kind)
    if samples == 1:
        return values.reshape(-1, rows, columns)
    if image.GetPlanarConfiguration():
        values = np.moveaxis(values.reshape(-1, samples, rows, columns), 1, -1)
    values = values.reshape(-1, rows, columns, samples)
    return rgb_of_ybr(values) if photometric in _YBR else values


def _cells(data: bytes, kind: gdcm.PixelFormat) -> NDArray[np.unsignedinteger]:
    """The cells of a buffer, with all their bits."""
    allocated = kind.GetBitsAllocated()
    if allocated == 1:
        return np.unpackbits(np.frombuffer(data, "u1"), bitorder="little")
    return np.frombuffer(data, _TYPES[allocated])


def _samples(cells: NDArray[np.unsignedinteger], kind: gdcm.PixelFormat) -> Values:
    """The stored bits of cells, with their sign."""
    bits = kind.GetBitsStored()
    values = cells.astype(np.int64) >> (kind.GetHighBit() + 1 - bits) & (2**bits - 1)
    if kind.GetPixelRepresentation():
        values = np.where(values >= 2 ** (bits - 1), values - 2**bits, values)
    return np.asarray(values, dtype=np.float64)


if __name__ == "__main__":
    _main()
