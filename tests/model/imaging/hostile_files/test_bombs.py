"""Small files that claim, or unpack to, a huge size: answered or refused, with every parameter, at little cost."""

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from model.errors import InvalidInput
from tests.support.image_files.bombs.corpus import BOMBS, BOMBS_BY_FORMAT, ENTRIES, PARAMETERS, decode_with

STATUS, REFERENCES = Path("/proc/self/status"), Path("/proc/self/clear_refs")
# Per file. An answer may need as much as the largest picture or volume within the limits; `frames` gives many answers.
MAX_REFUSED_CPU_S, MAX_ANSWERED_CPU_S, MAX_FRAMES_CPU_S = 3.0, 3.0, 9.0
# The largest deflated DICOM file has its bytes, their colours, and Pillow's picture of four bytes per pixel.
MAX_MEMORY_BYTES = 640 * 2**20
MAX_FILE_BYTES = 5_000_000


def memory_bytes(name: str) -> int:
    """A value of the process' memory: VmRSS is what it uses now, VmHWM the most that it has used."""
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(name))
    return 1024 * int(line.split()[1])


def test_every_format_has_an_entry_per_parameter() -> None:
    formats = {"DICOM", "NIfTI", "NRRD", "TIFF", "PNG", "JPEG", "JPEG 2000", "GIF", "BMP", "WebP", "AVIF"}
    assert set(BOMBS_BY_FORMAT) == formats
    kinds = {(name.partition(":")[0], parameter) for name, parameter in ENTRIES.values()}
    assert kinds == {(kind, parameter) for kind in formats for parameter in PARAMETERS}
    assert {name for name, _ in ENTRIES.values()} == set(BOMBS)


@pytest.mark.filterwarnings("ignore")  # Pillow warns about damaged metadata
@pytest.mark.parametrize(("name", "parameter"), ENTRIES.values(), ids=ENTRIES)
def test_a_bomb_gives_a_picture_or_an_invalid_input(name: str, parameter: str) -> None:
    data = BOMBS[name]()
    assert len(data) < MAX_FILE_BYTES
    with suppress(InvalidInput):
        decode_with(parameter, data)


def excess(data: bytes, parameter: str) -> list[str]:
    """What a file costs too much: CPU time, or memory above what was used before."""
    most, most_refused = MAX_ANSWERED_CPU_S, MAX_REFUSED_CPU_S
    if parameter == "frames":  # which may be refused after many of them
        most = most_refused = MAX_FRAMES_CPU_S
    REFERENCES.write_text("5")  # the peak starts again from what is used now (proc_pid_clear_refs(5))
    used, start = memory_bytes("VmRSS"), time.process_time()
    try:
        decode_with(parameter, data)
    except InvalidInput:
        most = most_refused
    spent, grown = time.process_time() - start, memory_bytes("VmHWM") - used
    found = [f"{parameter}: {spent:.2f} s instead of {most} s"] if spent > most else []
    return found + ([f"{parameter}: {grown / 2**20:.0f} MiB"] if grown > MAX_MEMORY_BYTES else [])


@pytest.mark.timing
@pytest.mark.skipif(not os.access(REFERENCES, os.W_OK), reason="peak memory is read from Linux")
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", BOMBS)
def test_a_bomb_costs_little(name: str) -> None:
    data = BOMBS[name]()
    with suppress(InvalidInput):  # the first file of a format imports its reader
        decode_with("no parameter", data)
    assert [fault for parameter in PARAMETERS for fault in excess(data, parameter)] == []
