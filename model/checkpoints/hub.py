"""A release folder from the Hugging Face hub: fetched once, resumed after a break, and used only when whole.

The cache has huggingface_hub's layout, so that its tools can list and prune it, and one that they filled is adopted.
`verified/REVISION.json` beside it lists a snapshot's files; it is written after their check, and nothing is used
without it. `snapshot_download` is not called: it deletes a broken transfer instead of resuming it, and checks no hash.
"""

import hashlib
import json
import logging
import os
import re
import shutil
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import quote
from uuid import uuid4

from model.errors import CheckpointError, CheckpointNotCached

logger = logging.getLogger(__name__)
_WEIGHTS = (".pt", ".safetensors")
_FILES = r"config\.yaml|merges\.txt|(?:vocab|tokenizer_config|special_tokens_map)\.json|[^/]*\.(?:pt|safetensors)"
_PATH = re.compile(rf"(?!/|.*\.\.)(?:.*/)?(?:{_FILES})")
_NAME = r"\w(?:[\w.-]{0,94}\w)?"
_HUB_ID = re.compile(rf"(?!.*(?:\.\.|//|--.*@|--[^@]*$))({_NAME}/{_NAME})(?:@(\w[\w.+/-]*))?", re.ASCII)
_HASH = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")


@dataclass(frozen=True)
class HubId:
    """A model on the hub: `owner/name` or `owner/name@revision`, the revision a branch, tag or commit."""

    repo_id: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "HubId | None":
        """The id that `text` spells, or None; a relative path of two parts reads as an id too."""
        match = _HUB_ID.fullmatch(text)
        return cls(match[1], match[2]) if match else None

    def __str__(self) -> str:
        return self.repo_id if self.revision is None else f"{self.repo_id}@{self.revision}"


@dataclass(frozen=True)
class _File:
    """A file as the hub lists it; `digest` is the sha256 of an LFS file, else its git blob id."""

    path: str
    size: int
    digest: str

    def is_at(self, path: Path) -> bool:
        if _size(path) != self.size:
            return False
        git_header = f"blob {self.size}\0".encode()
        digest = hashlib.sha256() if len(self.digest) == 64 else hashlib.sha1(git_header, usedforsecurity=False)
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, lambda: digest).hexdigest() == self.digest


@dataclass(frozen=True)
class _Listing:
    """The files of one commit that make up the release folder."""

    commit: str
    files: tuple[_File, ...]


@dataclass(frozen=True)
class _Cache:
    """What the cache directory holds of one model, asked for at one revision."""

    root: Path
    revision: str

    def blob(self, file: _File, suffix: str = "") -> Path:
        return self.root / "blobs" / f"{file.digest}{suffix}"

    def shown(self, listing: _Listing, file: _File) -> Path:
        return self.root / "snapshots" / listing.commit / file.path

    def record_path(self, revision: str, state: str) -> Path:
        return self.root / state / f"{quote(revision, safe='')}.json"

    def record(self, revision: str, state: str = "verified") -> _Listing | None:
        try:
            raw = json.loads(self.record_path(revision, state).read_text())
            return _Listing(raw["commit"], tuple(_File(**file) for file in raw["files"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def missing(self, listing: _Listing) -> list[str]:
        """The files that the snapshot lacks or holds with another size."""
        return [file.path for file in listing.files if _size(self.shown(listing, file)) != file.size]

    def verified_snapshot(self, revision: str) -> Path | None:
        listing = self.record(revision)
        return None if listing is None or self.missing(listing) else self.root / "snapshots" / listing.commit

    def link(self, listing: _Listing, file: _File) -> None:
        """Show the file's blob in the snapshot; on a disk without symbolic links the blob moves there."""
        shown, blob = self.shown(listing, file), self.blob(file)
        shown.parent.mkdir(parents=True, exist_ok=True)
        shown.unlink(missing_ok=True)
        try:
            shown.symlink_to(os.path.relpath(blob, shown.parent))
        except OSError:
            blob.replace(shown)

    def finish(self, listing: _Listing) -> None:
        """Record the snapshot as verified, under its commit and under the revision that was asked for."""
        for revision in (listing.commit, self.revision):
            _write(self.record_path(revision, "verified"), json.dumps(asdict(listing), indent=1))
        if self.revision != listing.commit:
            _write(self.root / "refs" / self.revision, listing.commit)


def download(
    hub_id: HubId, *, cache_dir: Path, offline: bool = False, progress: bool = True, endpoint: str | None = None
) -> Path:
    """The local snapshot folder of `hub_id`, downloaded and verified where the cache does not hold it yet.

    A verified commit needs no network; a branch or tag is looked up on the hub, and where that fails the snapshot
    verified earlier is used with a warning. `endpoint` is a mirror's address (default: what huggingface_hub is set to).
    """
    cache = _Cache(cache_dir / f"models--{hub_id.repo_id.replace('/', '--')}", hub_id.revision or "main")
    cached = cache.verified_snapshot(cache.revision)
    if cached is not None and (offline or _HASH.fullmatch(cache.revision)):
        return cached
    if offline:
        listing = cache.record(cache.revision) or cache.record(cache.revision, "listed")
        lacking = cache.missing(listing) if listing else ["config.yaml, the weights", "the tokenizer files"]
        raise CheckpointNotCached(
            f"{hub_id} is not whole in the model cache, which lacks {' and '.join(lacking) or 'the final check'}; "
            f"run `medimageinsight download {hub_id}` on a connected machine and bring its cache here."
        )
    try:
        return _update(hub_id, cache, progress, endpoint)
    except CheckpointError as error:
        if cached is None:
            raise
        logger.warning("%s The copy verified earlier is used (commit %s).", error, cached.name)
        return cached


def _update(hub_id: HubId, cache: _Cache, progress: bool, endpoint: str | None) -> Path:
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub.utils import WeakFileLock, disable_progress_bars  # type: ignore[attr-defined]

    # Else every user agent tells the torch version, and a list of coding agents to look for is fetched first.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        listing = _ask_hub(hub_id, cache.revision, endpoint)
        if cache.verified_snapshot(listing.commit) is None:
            (cache.root / "blobs").mkdir(parents=True, exist_ok=True)
            bars = nullcontext() if progress else disable_progress_bars("huggingface_hub.http_get")
            with bars, WeakFileLock(cache.root / ".medimageinsight.lock"):
                if cache.verified_snapshot(listing.commit) is None:
                    _fetch(hub_id, cache, listing, endpoint)
        cache.finish(listing)
    except (httpx2.HTTPError, OSError, ValueError, LookupError) as error:
        raise CheckpointError(_explain(hub_id, error)) from error
    return cache.root / "snapshots" / listing.commit


def _ask_hub(hub_id: HubId, revision: str, endpoint: str | None) -> _Listing:
    from huggingface_hub import HfApi

    info = HfApi(endpoint=endpoint).model_info(hub_id.repo_id, revision=revision, files_metadata=True, timeout=10)
    files = tuple(
        _File(found.rfilename, found.lfs.size, found.lfs.sha256)
        if found.lfs
        else _File(found.rfilename, found.size or 0, found.blob_id or "")
        for found in info.siblings or []
        if _PATH.fullmatch(found.rfilename)
    )
    if not all(any(file.path.endswith(kind) for file in files) for kind in ("config.yaml", _WEIGHTS)):
        raise CheckpointError(f"{hub_id} holds no release folder, which has a config.yaml and a .pt weights file.")
    if not all(_HASH.fullmatch(text) for text in (info.sha or "", *(file.digest for file in files))):
        raise CheckpointError(f"The hub lists no hashes of {hub_id} to check it against; use huggingface.co itself.")
    return _Listing(info.sha or "", files)


def _fetch(hub_id: HubId, cache: _Cache, listing: _Listing, endpoint: str | None) -> None:
    """Fill the snapshot; a file takes its place in the cache only after its check."""
    from huggingface_hub import hf_hub_url

    _write(cache.record_path(cache.revision, "listed"), json.dumps(asdict(listing), indent=1))
    absent = [file for file in listing.files if not file.is_at(cache.blob(file))]
    needed = sum(file.size - _size(cache.blob(file, ".incomplete")) for file in absent)
    if needed > (free := shutil.disk_usage(cache.root).free):
        raise CheckpointError(f"{hub_id} needs {needed:,} more bytes in the model cache, whose disk has {free:,} free.")
    for file in listing.files:
        if file in absent:
            partial = cache.blob(file, ".incomplete")
            _transfer(hf_hub_url(hub_id.repo_id, file.path, revision=listing.commit, endpoint=endpoint), partial, file)
            if not file.is_at(partial):
                partial.unlink()
                raise CheckpointError(f"{file.path} of {hub_id} fails its checksum and was removed; download it again.")
            partial.replace(cache.blob(file))
        cache.link(listing, file)


def _transfer(url: str, partial: Path, file: _File) -> None:
    """Append to `partial` what it lacks of `file`; http_get reopens a connection that breaks."""
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    headers = build_hf_headers() | {"accept-encoding": "identity"}
    with partial.open("ab") as out:
        if (start := out.tell()) < file.size:
            http_get(url, out, resume_size=start, headers=headers, displayed_filename=PurePosixPath(file.path).name)
        out.flush()
        os.fsync(out.fileno())


def _explain(hub_id: HubId, error: Exception) -> str:
    from huggingface_hub import errors

    status = error.response.status_code if isinstance(error, errors.HfHubHTTPError) else None
    if isinstance(error, errors.GatedRepoError) or status == 403:
        return f"{hub_id} is gated on the Hugging Face hub (HTTP {status}); ask for access there and set HF_TOKEN."
    if isinstance(error, errors.RevisionNotFoundError):
        return f"{hub_id} names a revision that the Hugging Face hub does not have; name a branch, tag or commit."
    if isinstance(error, errors.RepositoryNotFoundError) or status == 401:
        return f"{hub_id} is not on the Hugging Face hub, or is private; check the name, or set HF_TOKEN."
    if isinstance(error, OSError) and error.strerror:
        return f"{hub_id} cannot be kept in the model cache ({error.strerror}); give it a writable folder with space."
    reason = f"HTTP {status}" if status else type(error).__name__
    return f"{hub_id} cannot be fetched from the Hugging Face hub ({reason}); check the network and try again."


def _size(path: Path) -> int:
    """The size of a file, -1 where there is none."""
    return path.stat().st_size if path.is_file() else -1


def _write(path: Path, text: str) -> None:
    """Put `text` in place in one step, unless it is there already."""
    if path.is_file() and path.read_text() == text:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{uuid4()}.tmp")  # of this call alone: others may write the same at this moment
    draft.write_text(text)
    draft.replace(path)
