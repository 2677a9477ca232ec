"""Download of a release folder from the Hugging Face hub: resumed after an interruption, verified before its first use.

`snapshot_download` (huggingface_hub 2.4) is not used: over HTTP it deletes the partial file of a failed transfer and
does not compare the received bytes with the listed hashes. `verify_repo_checksums` is not used: it checks files only
after they are in the cache under the name of their hash, where other programs take them for correct.
"""

import logging
import os
import re
import shutil
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from model.checkpoints.hub_cache import HubFile, Listing, RepositoryCache, size_bytes
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
    """A model on the hub: `owner/name` or `owner/name@revision`. The revision is a branch, a tag or a commit."""

    repo_id: str
    revision: str | None = None

    @classmethod
    def parse(cls, text: str) -> "HubId | None":
        """Parse an id; None if `text` is not one. A relative path of two parts, such as `a/b`, is an id too."""
        match = _HUB_ID.fullmatch(text)
        return cls(match[1], match[2]) if match else None

    def __str__(self) -> str:
        return self.repo_id if self.revision is None else f"{self.repo_id}@{self.revision}"


def download(
    hub_id: HubId, *, cache_dir: Path, offline: bool = False, progress: bool = True, endpoint: str | None = None
) -> Path:
    """Return the local snapshot folder of a release; download and verify what the cache lacks.

    A verified commit needs no network. A branch or a tag is looked up on the hub. If that or the download fails, the
    snapshot that was verified earlier is used, with a warning.

    Args:
        hub_id: the repository and the revision; without a revision, `main`.
        cache_dir: the folder of the cache, which may be shared with huggingface_hub.
        offline: use only the cache, without network. Default: False.
        progress: show one progress bar per transferred file on stderr. Default: True.
        endpoint: URL of a mirror. Default: the endpoint that huggingface_hub is configured with.

    Raises:
        CheckpointNotCached: `offline` is set, and the cache does not contain the whole verified release.
        CheckpointError: the release cannot be downloaded or verified, and no earlier snapshot exists.
    """
    cache = RepositoryCache(cache_dir / f"models--{hub_id.repo_id.replace('/', '--')}", hub_id.revision or "main")
    cached = cache.verified_snapshot(cache.revision)
    if cached is not None and (offline or _HASH.fullmatch(cache.revision)):
        return cached
    if offline:
        listing = cache.record(cache.revision) or cache.record(cache.revision, "listed")
        lacking = cache.missing(listing) if listing else ["config.yaml, the weights", "the tokenizer files"]
        raise CheckpointNotCached(
            f"{hub_id} is incomplete in the model cache, which lacks {' and '.join(lacking) or 'the final check'}; "
            f"run `medimageinsight download {hub_id}` on a machine with network and copy its cache to this machine."
        )
    try:
        return _update(hub_id, cache, progress, endpoint)
    except CheckpointError as error:
        if cached is None:
            raise
        logger.warning("%s The snapshot that was verified earlier is used (commit %s).", error, cached.name)
        return cached


def _update(hub_id: HubId, cache: RepositoryCache, progress: bool, endpoint: str | None) -> Path:
    import httpx2
    from huggingface_hub import constants
    from huggingface_hub.utils import WeakFileLock, disable_progress_bars  # type: ignore[attr-defined]

    # Otherwise each request reports the torch version, and a list of coding agents is downloaded first.
    constants.HF_HUB_DISABLE_TELEMETRY = True
    try:
        listing = _ask_hub(hub_id, cache.revision, endpoint)
        if cache.verified_snapshot(listing.commit) is None:
            (cache.root / "blobs").mkdir(parents=True, exist_ok=True)
            bars = nullcontext() if progress else disable_progress_bars("huggingface_hub.http_get")
            with bars, WeakFileLock(cache.root / ".medimageinsight.lock"):
                if cache.verified_snapshot(listing.commit) is None:
                    _fetch(hub_id, cache, listing, endpoint)
        cache.record_verified(listing)
    except (httpx2.HTTPError, OSError, ValueError, LookupError) as error:
        raise CheckpointError(_explain(hub_id, error)) from error
    return cache.snapshot(listing)


def _ask_hub(hub_id: HubId, revision: str, endpoint: str | None) -> Listing:
    from huggingface_hub import HfApi

    info = HfApi(endpoint=endpoint).model_info(hub_id.repo_id, revision=revision, files_metadata=True, timeout=10)
    files = tuple(
        HubFile(found.rfilename, found.lfs.size, found.lfs.sha256)
        if found.lfs
        else HubFile(found.rfilename, found.size or 0, found.blob_id or "")
        for found in info.siblings or []
        if _PATH.fullmatch(found.rfilename)
    )
    if not all(any(file.path.endswith(kind) for file in files) for kind in ("config.yaml", _WEIGHTS)):
        raise CheckpointError(
            f"{hub_id} contains no release folder with a config.yaml and a weights file (.pt or .safetensors)."
        )
    if not all(_HASH.fullmatch(text) for text in (info.sha or "", *(file.digest for file in files))):
        raise CheckpointError(
            f"The hub lists no hashes for the files of {hub_id}, so they cannot be verified; use huggingface.co."
        )
    return Listing(info.sha or "", files)


def _fetch(hub_id: HubId, cache: RepositoryCache, listing: Listing, endpoint: str | None) -> None:
    """Complete the snapshot. A file gets its name in the cache only after its size and hash were checked."""
    from huggingface_hub import hf_hub_url

    cache.record_listed(listing)
    absent = [file for file in listing.files if not file.is_at(cache.blob(file))]
    needed = sum(file.size - max(0, size_bytes(cache.blob(file, ".incomplete"))) for file in absent)
    if needed > (free := shutil.disk_usage(cache.root).free):
        raise CheckpointError(
            f"{hub_id} needs {needed:,} more bytes in the model cache, but its disk has {free:,} bytes free."
        )
    for file in listing.files:
        if file in absent:
            partial = cache.blob(file, ".incomplete")
            _transfer(hf_hub_url(hub_id.repo_id, file.path, revision=listing.commit, endpoint=endpoint), partial, file)
            if not file.is_at(partial):
                partial.unlink()
                raise CheckpointError(
                    f"{file.path} of {hub_id} does not match its checksum and was removed; download it again."
                )
            partial.replace(cache.blob(file))
        cache.link(listing, file)


def _transfer(url: str, partial: Path, file: HubFile) -> None:
    """Append the missing bytes of `file` to `partial`. `http_get` itself resumes after a closed connection."""
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
        return f"{hub_id} is gated on the Hugging Face hub (HTTP {status}); request access there and set HF_TOKEN."
    if isinstance(error, errors.RevisionNotFoundError):
        return (
            f"{hub_id} names a revision that does not exist on the Hugging Face hub; use a branch, a tag or a commit."
        )
    if isinstance(error, errors.RepositoryNotFoundError) or status == 401:
        return f"{hub_id} is not on the Hugging Face hub or is private; check the name or set HF_TOKEN."
    if isinstance(error, OSError) and error.strerror:
        return (
            f"{hub_id} cannot be stored in the model cache ({error.strerror}); use a writable folder with enough space."
        )
    reason = f"HTTP {status}" if status else type(error).__name__
    return f"{hub_id} cannot be downloaded from the Hugging Face hub ({reason}); check the network and try again."
