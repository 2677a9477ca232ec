"""The images among named files and in folders: found by content, with a reason for everything else."""

import os
import socket
from pathlib import Path

import pytest
from pydicom.uid import BasicTextSRStorage, MediaStorageDirectoryStorage

from model.data.image_files import FoundImages, find_images
from tests.support.image_files.dicom import HOUNSFIELD, ct
from tests.support.image_files.volumes import nifti
from tests.support.samples import damaged, png


def names(found: list[tuple[Path, str]]) -> dict[str, str]:
    return {path.name: reason for path, reason in found}


def test_a_folder_is_searched_by_content_in_the_order_of_the_names(tmp_path: Path) -> None:
    files = {
        "1.2.840.113619.2.5": ct(HOUNSFIELD),
        "a/IM1": ct(HOUNSFIELD),
        "a/b/volume": nifti(),
        "a.txt": png(),
        "cut": damaged(),
        "named.png": b"not an image",
    }
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(data)
    (tmp_path / "empty folder").mkdir()
    found = find_images([tmp_path])
    assert [file.relative_to(tmp_path).as_posix() for file in found.files] == [
        *("1.2.840.113619.2.5", "a/IM1", "a/b/volume", "a.txt", "cut", "named.png")
    ]
    assert (found.skipped, found.unreadable) == ([], [])


def test_what_is_not_an_image_is_skipped_and_counted_by_reason(tmp_path: Path) -> None:
    files = {
        "notes": b"Jane Doe",
        "table.csv": b"path\n",
        "nothing": b"",
        "SR1": ct(HOUNSFIELD, SOPClassUID=BasicTextSRStorage),
        "DICOMDIR": ct(HOUNSFIELD, SOPClassUID=MediaStorageDirectoryStorage),
        "._IM1": b"\0\5\x16\7",
        ".git/HEAD": b"ref",
        "__MACOSX/IM1": ct(HOUNSFIELD),
    }
    for name, data in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(data)
    found = find_images([tmp_path])
    assert found.files == []
    assert names(found.skipped) == {
        "notes": "not in an accepted image format",
        "table.csv": "not in an accepted image format",
        "nothing": "empty",
        "SR1": "DICOM without a picture (structured report or measurements)",
        "DICOMDIR": "DICOMDIR",
        "._IM1": "hidden file",
        ".git": "hidden folder",
        "__MACOSX": "hidden folder",
    }
    assert found.summary == (
        "skipped 6 files and 2 folders: 2 hidden folder, 2 not in an accepted image format, 1 hidden file, 1 DICOMDIR, "
        "1 DICOM without a picture (structured report or measurements), 1 empty"
    )


def test_a_summary_without_folders_counts_only_files() -> None:
    assert FoundImages().summary == ""
    assert FoundImages(skipped=[(Path("a"), "empty")]).summary == "skipped 1 file: 1 empty"


def test_a_named_file_is_taken_as_it_is(tmp_path: Path) -> None:
    (tmp_path / ".hidden").write_text("not an image")
    (tmp_path / "link").symlink_to(tmp_path / ".hidden")
    assert find_images([tmp_path / "link", tmp_path / ".hidden"]).files == [tmp_path / "link", tmp_path / ".hidden"]


def test_a_named_dicomdir_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / "index").write_bytes(ct(HOUNSFIELD, SOPClassUID=MediaStorageDirectoryStorage))
    found = find_images([tmp_path / "index"])
    assert found.files == []
    assert found.unreadable == [
        (
            tmp_path / "index",
            "the file is a DICOMDIR, which lists other files and has no picture: name its folder instead",
        )
    ]


def test_what_is_not_a_regular_file_is_never_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")  # to open it would wait for a writer
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "link").symlink_to("pipe")
    reason = "neither a regular file nor a folder"
    found = find_images([tmp_path])
    assert names(found.skipped) == {
        "pipe": reason,
        "socket": reason,
        "link": reason,
        "device": "link to a file outside the folder",
    }
    assert find_images([tmp_path / "pipe"]).unreadable == [
        (tmp_path / "pipe", "the file cannot be read: neither a regular file nor a folder")
    ]


def test_links_lead_neither_out_of_the_folder_nor_in_circles(tmp_path: Path) -> None:
    root = tmp_path / "series"
    (root / "inner").mkdir(parents=True)
    (root / "IM1").write_bytes(ct(HOUNSFIELD))
    (tmp_path / "outside").write_bytes(ct(HOUNSFIELD))
    (root / "again").symlink_to("IM1")
    (root / "inner" / "up").symlink_to("..")
    (root / "inner" / "out").symlink_to(tmp_path / "outside")
    (root / "inner" / "folder out").symlink_to(tmp_path)
    (root / "inner" / "loop").symlink_to("loop")
    (root / "inner" / "gone").symlink_to("nowhere")
    (tmp_path / "link").symlink_to(root)
    found = find_images([tmp_path / "link"])  # a named link to a folder is followed
    assert [file.name for file in found.files] == ["IM1", "again"]
    assert names(found.skipped) == {
        "up": "link to a folder",
        "folder out": "link to a folder",
        "out": "link to a file outside the folder",
        "loop": "broken link",
        "gone": "broken link",
    }


def test_a_file_or_folder_that_the_system_does_not_give_is_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "locked").mkdir()
    for name in ("IM1", "IM2"):
        (tmp_path / name).write_bytes(ct(HOUNSFIELD))
    (tmp_path / "into").symlink_to("locked/IM3")
    opened, listed, resolved = Path.open, os.scandir, Path.resolve

    def open_file(path: Path, mode: str) -> object:
        if path.name == "IM1":
            raise PermissionError(13, "Permission denied")
        return opened(path, mode)

    def scandir(path: Path) -> object:
        if path.name == "locked":
            raise PermissionError(13, "Permission denied")
        return listed(path)

    def resolve(path: Path, strict: bool = False) -> Path:
        if path.name == "into":
            raise PermissionError(13, "Permission denied")
        return resolved(path, strict)

    monkeypatch.setattr(Path, "open", open_file)
    monkeypatch.setattr(Path, "resolve", resolve)
    monkeypatch.setattr(os, "scandir", scandir)
    found = find_images([tmp_path])
    assert [file.name for file in found.files] == ["IM2"]
    assert names(found.unreadable) == {
        "IM1": "the file cannot be read: Permission denied",
        "into": "the file cannot be read: Permission denied",
        "locked": "the folder cannot be read: Permission denied",
    }
    assert find_images([tmp_path / "locked"]).unreadable == [
        (tmp_path / "locked", "the folder cannot be read: Permission denied")
    ]


def test_the_output_folder_is_not_searched(tmp_path: Path) -> None:
    for folder in ("", "pictures", "other/pictures"):
        (tmp_path / folder).mkdir(parents=True, exist_ok=True)
        (tmp_path / folder / "a.png").write_bytes(png())
    found = find_images([tmp_path], output=tmp_path / "other" / ".." / "pictures")
    assert found.files == [tmp_path / "a.png", tmp_path / "other" / "pictures" / "a.png"]
    assert found.summary == "skipped 1 folder: 1 output folder"


def test_a_very_deep_tree_is_searched_to_its_end(tmp_path: Path) -> None:
    image = tmp_path.joinpath(*["d"] * 1200, "IM1")  # more than Python's limit of recursion
    folders = [tmp_path.joinpath(*["d"] * depth) for depth in range(1, 1201)]
    try:
        for folder in folders:
            folder.mkdir()
        image.write_bytes(ct(HOUNSFIELD))
        assert find_images([tmp_path]).files == [image]
    finally:  # pytest's own clean-up is recursive
        image.unlink(missing_ok=True)
        for folder in reversed(folders):
            folder.rmdir()


def test_only_the_head_of_a_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "big").write_bytes(b"text")
    os.truncate(tmp_path / "big", 1 << 40)  # a sparse file of a terabyte
    assert names(find_images([tmp_path]).skipped) == {"big": "not in an accepted image format"}
