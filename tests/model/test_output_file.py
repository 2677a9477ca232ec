"""Output files: complete or absent, refused before the work, and a sentence on a full disk."""

import stat
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from matplotlib.figure import Figure
from safetensors.torch import save_file

from model.errors import OutputError
from model.output_file import OutputFile, open_folder, write_file
from tests.support.disk_faults.small_disk import small_disk
from tests.support.disk_faults.stopped_writers import copies_before_each_operation

BIG = torch.zeros(10_000)


def save_with_torch(path: Path) -> None:
    with path.open("wb") as stream:
        torch.save({"big": BIG}, stream)


def save_with_numpy(path: Path) -> None:
    with path.open("wb") as stream:
        np.savez(stream, big=BIG.numpy())


WRITERS: dict[str, Callable[[Path], object]] = {
    "bytes": lambda path: path.write_bytes(bytes(10_000)),
    "torch": save_with_torch,
    "safetensors": lambda path: save_file({"big": BIG}, path),
    "numpy": save_with_numpy,
    "Parquet": lambda path: pq.write_table(pa.table({"big": BIG.numpy() + np.arange(10_000)}), path),
    "matplotlib": lambda path: Figure().savefig(path, format="png"),
}


@pytest.mark.parametrize("writer", WRITERS)
def test_a_full_disk_is_a_sentence_and_leaves_what_was_there(tmp_path: Path, writer: str) -> None:
    path = tmp_path / "out"
    path.write_text("as before")
    with small_disk(500), pytest.raises(OutputError) as refusal:
        write_file(path, WRITERS[writer])
    assert str(refusal.value).startswith(f"{path} cannot be written (")
    assert "File too large" in str(refusal.value)
    assert path.read_text() == "as before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_process_killed_at_any_operation_leaves_the_old_file_or_the_new_one(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "out"
    open_folder(path.parent)
    path.write_text("old")
    with copies_before_each_operation(path.parent, tmp_path / "killed") as operations:
        write_file(path, lambda partial: partial.write_text("new"))
    assert list(operations.values())[-1] == "os.rename out.partial"
    assert {(copy / "out").read_text() for copy in operations} == {"old"}
    assert path.read_text() == "new"


@pytest.mark.parametrize("place", ["missing/out", "file/out", "folder", "n" * 300])
def test_a_place_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder.partial").mkdir()
    with pytest.raises(OutputError, match="cannot be written"):
        OutputFile(tmp_path / place)
    with pytest.raises(OutputError, match="file cannot be written"):
        open_folder(tmp_path / "file")


def test_work_that_fails_leaves_nothing(tmp_path: Path) -> None:
    with OutputFile(tmp_path / "out"):
        assert [file.name for file in tmp_path.iterdir()] == ["out.partial"]
    assert list(tmp_path.iterdir()) == []


def test_a_link_and_the_mode_of_the_file_stay(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("old")
    target.chmod(0o600)
    link.symlink_to(target)
    write_file(link, lambda path: path.write_text("new"))
    assert link.is_symlink()
    assert (target.read_text(), stat.S_IMODE(target.stat().st_mode)) == ("new", 0o600)


@pytest.mark.parametrize("writer", WRITERS)
def test_a_new_file_may_be_read_by_whom_any_new_file_may(tmp_path: Path, writer: str) -> None:
    """A service under another user reads heads and weights."""
    (tmp_path / "any").touch()
    write_file(tmp_path / "out", WRITERS[writer])
    assert (tmp_path / "out").stat().st_mode == (tmp_path / "any").stat().st_mode


def test_what_a_killed_process_left_does_not_give_its_mode(tmp_path: Path) -> None:
    (tmp_path / "new").touch()
    (tmp_path / "file.partial").touch(0o600)
    write_file(tmp_path / "file", WRITERS["bytes"])
    assert (tmp_path / "file").stat().st_mode == (tmp_path / "new").stat().st_mode


def test_a_device_is_written_directly() -> None:
    with pytest.raises(OutputError, match=r"/dev/full cannot be written \(No space left on device\)"):
        write_file(Path("/dev/full"), lambda path: path.write_bytes(b"x"))
    assert stat.S_ISCHR(Path("/dev/full").stat().st_mode)
