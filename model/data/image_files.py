"""The image files of named files and folders: found by content, with a reason for every file that is left out."""

import os
import stat
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tqdm import tqdm

from model.data.file_content import DICOMDIR, HEAD_BYTES, is_dicom, kind_without_picture, why_not_an_image

HIDDEN_FOLDER = "hidden folder"
LINKED_FOLDER = "link to a folder"
OUTPUT_FOLDER = "output folder"
SHOW_PROGRESS_AFTER_S = 1.0
_NOT_A_FILE = "neither a regular file nor a folder"
_NAMED_DICOMDIR = "the file is a DICOMDIR, which lists other files and has no picture: name its folder instead"


@dataclass(frozen=True)
class FoundImages:
    """The files that a command is asked to read.

    Attributes:
        files: the images, readable or damaged, in order; within a folder in the order of their names.
        skipped: path and reason of each file or folder that a walk leaves out because it is not an image.
        unreadable: path and reason of each file or folder that cannot be looked at. It may be an image: a failure.
    """

    files: list[Path] = field(default_factory=list)
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    unreadable: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def summary(self) -> str:
        """How many files are skipped, by reason: "skipped 3 files: 2 empty, 1 hidden file"; "" if none is."""
        if not self.skipped:
            return ""
        reasons = Counter(reason for _, reason in self.skipped)
        folders = sum(reasons[kind] for kind in (HIDDEN_FOLDER, LINKED_FOLDER, OUTPUT_FOLDER))
        counts = ((len(self.skipped) - folders, "file"), (folders, "folder"))
        what = " and ".join(f"{count} {noun}{'s' * (count > 1)}" for count, noun in counts if count)
        return f"skipped {what}: {', '.join(f'{count} {reason}' for reason, count in reasons.most_common())}"


def find_images(paths: Iterable[Path], *, output: Path | None = None, progress: bool = False) -> FoundImages:
    """Find the images among files and in folders, subfolders included.

    At most `HEAD_BYTES` of each file are read, and nothing is decoded. What is not a regular file is never opened.

    Args:
        paths: files, each of which is taken as it is, and folders, whose images are found by their content. Hidden
            files and folders in them are skipped. A link is followed to a file in the same named folder, nowhere else.
        output: a folder whose files the command writes. It is skipped where it lies in a named folder.
        progress: whether to count the files on stderr while a long search runs; default False.
    """
    found = FoundImages()
    left_out = output and output.resolve()
    with tqdm(desc="files", unit="file", delay=SHOW_PROGRESS_AFTER_S, leave=False, disable=not progress) as bar:
        for path in paths:
            for file, reason, is_failure in _walk(path, left_out) if path.is_dir() else [_named_file(path)]:
                bar.update()
                if not reason:
                    found.files.append(file)
                else:
                    (found.unreadable if is_failure else found.skipped).append((file, reason))
    return found


# Path, reason for leaving it out or "", and whether that is a failure.
_Finding = tuple[Path, str, bool]


def _named_file(path: Path) -> _Finding:
    try:
        if not stat.S_ISREG(path.stat().st_mode):
            return path, f"the file cannot be read: {_NOT_A_FILE}", True
        head = _read_head(path)
    except OSError:
        return path, "", False  # whoever reads the whole file says why that is not possible
    is_directory = is_dicom(head) and kind_without_picture(head) == DICOMDIR
    return path, _NAMED_DICOMDIR if is_directory else "", True


def _walk(root: Path, left_out: Path | None) -> Iterator[_Finding]:
    """Look at everything below a folder, in the order of the names, without recursion: a tree may be very deep."""
    top = root.resolve()
    waiting: list[os.DirEntry[str]] = []
    try:
        waiting = _children(root)
    except OSError as error:
        yield root, _unreadable("folder", error), True
    while waiting:
        entry = waiting.pop()
        path, kind = Path(entry.path), "file"
        try:
            if _is_hidden(entry.name):
                yield path, HIDDEN_FOLDER if entry.is_dir(follow_symlinks=False) else "hidden file", False
            elif entry.is_symlink():
                yield path, _why_not_followed(path, top) or _why_skipped(path), False
            elif not entry.is_dir(follow_symlinks=False):
                yield path, _why_skipped(path), False
            elif path.resolve() == left_out:
                yield path, OUTPUT_FOLDER, False
            else:
                kind = "folder"
                waiting += _children(path)
        except OSError as error:
            yield path, _unreadable(kind, error), True


def _children(folder: Path) -> list[os.DirEntry[str]]:
    """The contents of a folder, last name first."""
    with os.scandir(folder) as entries:
        return sorted(entries, key=lambda entry: entry.name, reverse=True)


def _is_hidden(name: str) -> bool:
    """Whether a name is hidden by convention; archives from macOS keep its metadata in __MACOSX."""
    return name.startswith(".") or name == "__MACOSX"


def _why_not_followed(link: Path, top: Path) -> str:
    """Why a symbolic link is not followed; "" for a link to a file below `top`. Raises PermissionError."""
    try:
        target = link.resolve(strict=True)
    except PermissionError:
        raise
    except (OSError, RuntimeError):  # Python 3.11 raises RuntimeError for a loop of links
        return "broken link"
    if target.is_dir():
        return LINKED_FOLDER
    return "" if target.is_relative_to(top) else "link to a file outside the folder"


def _why_skipped(path: Path) -> str:
    """Why a file is not an image; "" if it is one. Raises OSError if it cannot be read."""
    if not stat.S_ISREG(path.stat().st_mode):
        return _NOT_A_FILE
    return why_not_an_image(_read_head(path), path.name)


def _read_head(path: Path) -> bytes:
    with path.open("rb") as stream:
        return stream.read(HEAD_BYTES)


def _unreadable(kind: str, error: OSError) -> str:
    return f"the {kind} cannot be read: {error.strerror or type(error).__name__}"
