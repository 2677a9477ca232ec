"""Cache of one hub repository on disk, in huggingface_hub's layout.

huggingface_hub's own tools can list and prune this cache, and files that they downloaded are reused.
In addition, `verified/REVISION.json` lists the files of a verified snapshot. A snapshot without it is not used.
"""

import hashlib
import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote
from uuid import uuid4


@dataclass(frozen=True)
class HubFile:
    """A file of a repository, as the hub lists it."""

    path: str  # relative to the repository's root
    size: int  # bytes
    digest: str  # hexadecimal: the sha256 of an LFS file, otherwise the git blob id (a sha1)

    def is_at(self, path: Path) -> bool:
        """Whether `path` is a file of this size and digest. Reads the whole file."""
        if size_bytes(path) != self.size:
            return False
        git_header = f"blob {self.size}\0".encode()
        digest = hashlib.sha256() if len(self.digest) == 64 else hashlib.sha1(git_header, usedforsecurity=False)
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: digest).hexdigest() == self.digest


@dataclass(frozen=True)
class Listing:
    """The files of one commit that belong to the release folder."""

    commit: str
    files: tuple[HubFile, ...]


@dataclass(frozen=True)
class RepositoryCache:
    """The cache folder of one repository, used for one requested revision."""

    root: Path
    revision: str  # a branch, a tag or a commit

    def blob(self, file: HubFile, suffix: str = "") -> Path:
        return self.root / "blobs" / f"{file.digest}{suffix}"

    def snapshot(self, listing: Listing) -> Path:
        return self.root / "snapshots" / listing.commit

    def record(self, revision: str, state: Literal["listed", "verified"] = "verified") -> Listing | None:
        """The recorded listing of `revision`; None if there is no readable record."""
        try:
            raw = json.loads(self._record_path(revision, state).read_text())
            return Listing(raw["commit"], tuple(HubFile(**file) for file in raw["files"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def missing(self, listing: Listing) -> list[str]:
        """Paths of the files that the snapshot lacks or contains with another size."""
        return [file.path for file in listing.files if size_bytes(self.snapshot(listing) / file.path) != file.size]

    def verified_snapshot(self, revision: str) -> Path | None:
        """The snapshot folder of `revision`; None if it is not verified or no longer complete."""
        listing = self.record(revision)
        return None if listing is None or self.missing(listing) else self.snapshot(listing)

    def link(self, listing: Listing, file: HubFile) -> None:
        """Link the file's blob into the snapshot. On a disk without symbolic links, the blob moves there."""
        path, blob = self.snapshot(listing) / file.path, self.blob(file)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        try:
            path.symlink_to(os.path.relpath(blob, path.parent))
        except OSError:
            blob.replace(path)

    def record_listed(self, listing: Listing) -> None:
        """Record the files of a download that begins, so that offline errors can name the missing ones."""
        self._write_record(self.revision, "listed", listing)

    def record_verified(self, listing: Listing) -> None:
        """Record the snapshot as verified, under its commit and under the requested revision."""
        for revision in (listing.commit, self.revision):
            self._write_record(revision, "verified", listing)
        if self.revision != listing.commit:
            write_atomically(self.root / "refs" / self.revision, listing.commit)

    def _record_path(self, revision: str, state: str) -> Path:
        return self.root / state / f"{quote(revision, safe='')}.json"

    def _write_record(self, revision: str, state: str, listing: Listing) -> None:
        write_atomically(self._record_path(revision, state), json.dumps(asdict(listing), indent=1))


def size_bytes(path: Path) -> int:
    """Size of a file; -1 if it does not exist."""
    return path.stat().st_size if path.is_file() else -1


def write_atomically(path: Path, text: str) -> None:
    """Replace the contents of a file by `text` in one step, unless it contains `text` already."""
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{uuid4()}.tmp")  # unique, because other processes may write the same file
    draft.write_text(text)
    draft.replace(path)
