"""A small Hugging Face hub for tests: a real HTTP server on the loopback interface, in a thread.

    with StandinHub() as hub:
        hub.publish("owner/name", {"config.yaml": b"..."}, tag="v1")
        download(HubId("owner/name"), cache_dir=..., endpoint=hub.endpoint)

It supports the requests of huggingface_hub: info and tree of a model, HEAD and GET of a file with ETag and commit, and
byte ranges. LFS files are redirected to a content store on another origin. `faults` interrupts transfers, and `served`
replaces the contents of files.
"""

import hashlib
import json
import random
import socket
import struct
import threading
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Literal
from urllib.parse import unquote, urlsplit

REPO = "lion-ai/MedImageInsights"
CONFIG = "2024.09.27/config.yaml"
WEIGHTS = "2024.09.27/vision_model/medimageinsigt-v1.0.0.pt"
TOKENIZER = "2024.09.27/language_model/clip_tokenizer_4.16.2"
RELEASE = {
    CONFIG: b"LANG_ENCODER: {}\n",
    WEIGHTS: random.Random(0).randbytes(22 * 2**20),
    f"{TOKENIZER}/vocab.json": b'{"a": 0}',
    f"{TOKENIZER}/merges.txt": b"#version: 0.2\n",
    f"{TOKENIZER}/tokenizer_config.json": b"{}",
    f"{TOKENIZER}/special_tokens_map.json": b"{}\n",
}
OTHERS = {"README.md": b"# Model", "images/mri.png": b"\x89PNG", "handler.py": b"raise SystemExit", "old.bin": b"\0"}
LFS_SUFFIXES = (".pt", ".safetensors", ".bin")


@dataclass(frozen=True)
class Request:
    """A request that the hub or its store received."""

    method: str
    path: str
    range: str | None
    user_agent: str
    has_token: bool


@dataclass(frozen=True)
class Fault:
    """Interruption of one transfer of a file after `after` bytes of its body.

    `cut` closes the connection, `reset` resets it, and `hold` sends nothing more until the hub stops.
    """

    kind: Literal["cut", "reset", "hold"]
    after: int


@dataclass
class Repository:
    """Files per commit, and the commit of each branch, tag and commit id."""

    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    revisions: dict[str, str] = field(default_factory=dict)
    gated: bool = False
    claimed_sizes: dict[str, int] = field(default_factory=dict)


class StandinHub:
    """Two servers, the hub and its content store, which run within the `with` block."""

    def __init__(self) -> None:
        self.repositories: dict[str, Repository] = {}
        self.requests: list[Request] = []
        self.faults: deque[Fault] = deque()
        self.served: dict[str, bytes] = {}
        self.outage_status: int | None = None
        self.stopping = threading.Event()
        self._servers = [ThreadingHTTPServer(("127.0.0.1", 0), _handler_for(self)) for _ in ("hub", "store")]
        self._threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in self._servers]
        self.endpoint, self.store = (f"http://127.0.0.1:{server.server_address[1]}" for server in self._servers)

    def publish(self, repo_id: str, files: Mapping[str, bytes], *, branch: str = "main", tag: str | None = None) -> str:
        """Commit `files` as the whole contents of the repository. Returns the id of the commit."""
        repository = self.repositories.setdefault(repo_id, Repository())
        commit = hashlib.sha1(f"{len(repository.commits)}{sorted(files)}".encode()).hexdigest()
        repository.commits[commit] = dict(files)
        repository.revisions |= {branch: commit, commit: commit} | ({tag: commit} if tag else {})
        return commit

    def fetched(self, name: str | None = None) -> list[Request]:
        """The requests for file transfers so far: all of them, or those of the file `name`."""
        gets = [request for request in self.requests if request.method == "GET" and "/resolve/" in request.path]
        return [request for request in gets if name is None or request.path.endswith(f"/{name}")]

    def stop(self) -> None:
        """Stop both servers. May be called again."""
        if not self.stopping.is_set():
            self.stopping.set()
            for server, thread in zip(self._servers, self._threads, strict=True):
                server.shutdown()
                server.server_close()
                thread.join()

    def __enter__(self) -> "StandinHub":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, value: BaseException | None, at: TracebackType | None) -> None:
        self.stop()


def _blob_id(content: bytes) -> str:
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def _described(path: str, content: bytes, size: int) -> dict[str, object]:
    """The size and the hashes of a file, with the keys of both the info and the tree of a model."""
    if not path.endswith(LFS_SUFFIXES):
        return {"size": size, "oid": _blob_id(content), "blobId": _blob_id(content)}
    sha256 = hashlib.sha256(content).hexdigest()
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:%s\nsize %d\n" % (sha256.encode(), size)
    lfs = {"oid": sha256, "sha256": sha256, "size": size, "pointerSize": len(pointer)}
    return {"size": size, "oid": _blob_id(pointer), "blobId": _blob_id(pointer), "lfs": lfs}


class _Handler(BaseHTTPRequestHandler):
    hub: StandinHub
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        headers = self.headers
        self.hub.requests.append(
            Request(self.command, path, headers["Range"], headers["User-Agent"], "Authorization" in headers)
        )
        if self.hub.outage_status is not None:
            self._answer(self.hub.outage_status)
        elif path.startswith("/store/"):
            self._send_file(path.removeprefix("/store/"))
        elif path.startswith("/api/models/"):
            self._serve_api(*path.removeprefix("/api/models/").split("/", 4))
        else:
            self._serve_resolve(*path.removeprefix("/").split("/", 4))

    def _serve_api(self, owner: str, name: str, kind: str = "revision", revision: str = "main", *_: str) -> None:
        found = self._find(f"{owner}/{name}", revision)
        if found is None:
            return
        repository, commit = found
        described = {
            path: _described(path, content, repository.claimed_sizes.get(path, len(content)))
            for path, content in repository.commits[commit].items()
        }
        if kind == "tree":
            self._answer_json([{"type": "file", "path": path, **facts} for path, facts in described.items()])
        else:
            siblings = [{"rfilename": path, **facts} for path, facts in described.items()]
            self._answer_json({"id": f"{owner}/{name}", "sha": commit, "tags": [], "siblings": siblings})

    def _serve_resolve(self, owner: str, name: str, _resolve: str, revision: str, path: str) -> None:
        found = self._find(f"{owner}/{name}", revision)
        if found is None:
            return
        repository, commit = found
        if repository.gated:
            self._answer(403, {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted."})
            return
        content = repository.commits[commit][path]
        facts = {"X-Repo-Commit": commit}
        if path.endswith(LFS_SUFFIXES):
            etag = hashlib.sha256(content).hexdigest()
            facts |= {"X-Linked-Etag": f'"{etag}"', "X-Linked-Size": str(len(content))}
            self._answer(302, facts | {"Location": f"{self.hub.store}/store/{owner}/{name}/{commit}/{path}"})
        else:
            self._send_content(self.hub.served.get(path, content), facts | {"ETag": f'"{_blob_id(content)}"'})

    def _send_file(self, stored: str) -> None:
        owner, name, commit, path = stored.split("/", 3)
        content = self.hub.repositories[f"{owner}/{name}"].commits[commit][path]
        self._send_content(self.hub.served.get(path, content), {"Accept-Ranges": "bytes"})

    def _find(self, repo_id: str, revision: str) -> tuple[Repository, str] | None:
        repository = self.hub.repositories.get(repo_id)
        if repository is None:
            self._answer(401, {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"})
            return None
        commit = repository.revisions.get(revision)
        if commit is None:
            self._answer(404, {"X-Error-Code": "RevisionNotFound", "X-Error-Message": "Invalid rev id"})
            return None
        return repository, commit

    def _send_content(self, content: bytes, headers: dict[str, str]) -> None:
        asked = self.headers.get("Range")
        start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
        if asked and start >= len(content):
            self._answer(416, {"Content-Range": f"bytes */{len(content)}"})
        elif asked:
            span = {"Content-Range": f"bytes {start}-{len(content) - 1}/{len(content)}"}
            self._answer(206, headers | span, content[start:])
        else:
            self._answer(200, headers, content)

    def _answer_json(self, value: object) -> None:
        self._answer(200, {"Content-Type": "application/json"}, json.dumps(value).encode())

    def _answer(self, status: int, headers: Mapping[str, str] | None = None, body: bytes = b"") -> None:
        self.close_connection = True
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command == "HEAD":
            return
        is_transfer = status in (200, 206) and "Content-Type" not in (headers or {})
        if is_transfer and self.hub.faults and len(body) > self.hub.faults[0].after:
            self._break_off(body, self.hub.faults.popleft())
        else:
            self.wfile.write(body)

    def _break_off(self, body: bytes, fault: Fault) -> None:
        self.wfile.write(body[: fault.after])
        self.wfile.flush()
        if fault.kind == "hold":
            self.hub.stopping.wait()
        elif fault.kind == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: object) -> None:
        pass


def _handler_for(hub: StandinHub) -> type[_Handler]:
    return type("_HandlerOfHub", (_Handler,), {"hub": hub})
