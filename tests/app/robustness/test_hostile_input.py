"""Hostile input, to a real server: refused or answered, at little cost, and the next request is right."""

import bz2
import collections
import gzip
import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import nibabel
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.dicom_files import ct
from tests.support.hostile_corpus import Post, malformed
from tests.support.samples import TEXT, assert_close, encoded, huge_png, picture, png, saved, table, vectors
from tests.support.servers.server_process import PATIENCE_S, Server, started
from tests.support.servers.serving import wait_until_ready
from tests.support.volume_files import nrrd

INPUTS, WARM_UP = 2400, 400
ANSWERED, REFUSED = {200}, {400, 413, 415}
MOST_GROWTH_BYTES = 64e6
MOST_CPU_S, MOST_BYTES = 0.2, 200e6  # of one bomb
ROUTES = ("/embed", "/score", "/invocations", "/embed/image", "/embed/text")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """The embedded model, so that what is an image after all costs little."""
    with started("", offline=True) as server:
        wait_until_ready(server.url)
        for data in (ct(np.zeros((2, 2), np.uint8)), VOLUME):  # the first of a kind imports its reader
            httpx.post(f"{server.url}/embed/image", content=data, headers={"content-type": "application/octet-stream"})
        yield server
        server.process.terminate()
        assert server.ended() == 0
        assert [line for line in server.log if "Traceback" in line or " ERROR " in line] == []


@pytest.fixture
def process(server: Server) -> psutil.Process:
    return psutil.Process(server.process.pid)


@pytest.fixture
def sound_answer(server: Server) -> Iterator[None]:
    """The answer to a sound request is the same before and after."""
    body = table(["image", "text"], [[encoded(png(3)), TEXT]])
    before = vectors(httpx.post(f"{server.url}/embed", json=body), "image_features")
    yield
    assert_close(vectors(httpx.post(f"{server.url}/embed", json=body), "image_features"), before)


def send(client: httpx.Client, post: Post) -> int:
    answer = client.post(post.path, content=post.body, headers={"content-type": post.content_type})
    if answer.status_code != httpx.codes.OK:
        assert answer.json()["message"].endswith("."), answer.text
    return answer.status_code


def send_all(server: Server, posts: list[Post]) -> collections.Counter[int]:
    """How often each status was answered to `posts`, four of which are in flight at a time."""
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client, ThreadPoolExecutor(4) as pool:
        return collections.Counter(pool.map(lambda post: send(client, post), posts))


@pytest.mark.usefixtures("sound_answer")
def test_thousands_of_malformed_inputs_are_refused_or_answered(server: Server) -> None:
    statuses = send_all(server, list(malformed(INPUTS, seed=2026)))
    assert set(statuses) <= ANSWERED | REFUSED, statuses
    assert sum(statuses.values()) == INPUTS
    refused = sum(statuses[status] for status in REFUSED)
    assert 0.4 * INPUTS < refused < 0.9 * INPUTS, statuses  # the others are still images, or texts, of some kind


@pytest.mark.timing
def test_thousands_of_malformed_inputs_leave_no_memory_behind(server: Server, process: psutil.Process) -> None:
    corpus = list(malformed(INPUTS, seed=2026))
    send_all(server, corpus[:WARM_UP])
    level = process.memory_info().rss
    send_all(server, corpus[WARM_UP:])
    assert process.memory_info().rss - level < MOST_GROWTH_BYTES


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=8,
)
names = st.sampled_from(["image", "text", "columns", "index", "data"])
tables = st.fixed_dictionaries(
    {
        "columns": st.lists(names, max_size=3) | values,
        "data": st.lists(st.lists(values, max_size=3), max_size=4) | values,
    },
    optional={"index": values},
)
bodies = st.fixed_dictionaries({"input_data": tables | values}, optional={"params": values, "texts": values}) | values


@pytest.mark.usefixtures("sound_answer")
def test_no_json_is_a_fault(server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:

        @settings(
            max_examples=250, derandomize=True, deadline=None, database=None, suppress_health_check=list(HealthCheck)
        )
        @given(path=st.sampled_from(ROUTES), body=bodies)
        def no_fault(path: str, body: Any) -> None:
            content = json.dumps(body).encode("utf-8", "surrogatepass")
            assert send(client, Post(path, "application/json", content)) in ANSWERED | REFUSED

        no_fault()


def chunk(name: bytes, data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + name + data + zlib.crc32(name + data).to_bytes(4, "big")


def with_chunk(extra: bytes) -> bytes:
    """A small PNG with another chunk after its header."""
    whole = png()
    return whole[:33] + extra + whole[33:]


def sized(data: bytes, start: int, size: bytes) -> bytes:
    return data[:start] + size + data[start + len(size) :]


def with_tags(tiff: bytes, values: dict[int, int]) -> bytes:
    """A little-endian TIFF with other values of tags that hold one number."""
    changed = bytearray(tiff)
    start = int.from_bytes(tiff[4:8], "little")
    for entry in range(start + 2, start + 2 + 12 * int.from_bytes(tiff[start : start + 2], "little"), 12):
        tag = int.from_bytes(tiff[entry : entry + 2], "little")
        if tag in values:
            changed[entry + 2 : entry + 12] = b"\x04\0\x01\0\0\0" + values[tag].to_bytes(4, "little")
    assert changed != tiff
    return bytes(changed)


FRAMES = [picture(seed, (4, 4)).convert("P") for seed in (1, 2)]
SMALL_GIF, SMALL_BMP, SMALL_TIFF, SMALL_JP2 = (saved(picture(0), kind) for kind in ("GIF", "BMP", "TIFF", "JPEG2000"))
VOLUME = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.int16), np.eye(4)).to_bytes()
ZEROS = zlib.compress(bytes(200_000_000), 9)
BOMBS = {
    "a PNG of 900 million pixels": huge_png(),
    "a PNG whose text unpacks to 200 MB": with_chunk(chunk(b"zTXt", b"a\0\0" + ZEROS)),
    "a PNG whose colour profile unpacks to 200 MB": with_chunk(chunk(b"iCCP", b"a\0\0" + ZEROS)),
    "a GIF of 4 billion pixels": sized(SMALL_GIF, 6, b"\xff\xff\xff\xff"),
    "a BMP of 4 billion pixels": sized(SMALL_BMP, 18, b"\xff\xff\x00\x00\xff\xff\x00\x00"),
    "a TIFF of 4 billion pixels": with_tags(SMALL_TIFF, {256: 65535, 257: 65535}),
    "a WebP of 268 million pixels": b"RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0" + b"\xff\x3f\0" * 2 + b"VP8 \0\0\0\0",
    "a JPEG 2000 of 4 billion pixels": sized(SMALL_JP2, SMALL_JP2.index(b"ihdr") + 4, b"\0\0\xff\xff\0\0\xff\xff"),
    "a DICOM file of 4 billion pixels": ct(np.zeros((2, 2), np.uint8), Rows=65535, Columns=65535),
    "a DICOM file of 2 billion frames": ct(np.zeros((2, 2), np.uint8), NumberOfFrames=2**31 - 1),
    "a DICOM file that unpacks to 200 MB": ct(np.zeros((2, 2), np.uint8)).replace(
        b"UI\x14\x001.2.840.10008.1.2.1\0", b"UI\x16\x001.2.840.10008.1.2.1.99"
    )
    + ZEROS[2:],
    "a NIfTI volume of 27 trillion voxels": VOLUME[:40]
    + np.array([3, 30000, 30000, 30000], "<i2").tobytes()
    + VOLUME[48:],
    "an NRRD volume of 27 trillion voxels": nrrd(sizes="30000 30000 30000"),
    "an NRRD volume that unpacks to 200 MB": nrrd(payload=gzip.compress(bytes(200_000_000)), encoding="gzip"),
    "an NRRD volume that unpacks to 200 MB by bzip2": nrrd(payload=bz2.compress(bytes(200_000_000)), encoding="bz2"),
    "an NRRD header of a long label": nrrd(labels='"' + "a" * 250_000 + '"'),
    "a GIF of many frames": saved(picture(0, (4, 4)).convert("P"), "GIF", save_all=True, append_images=FRAMES * 2500),
}
DOCUMENTS = {
    "lists in lists": b"[" * 1_000_000,
    "objects in objects": b'{"input_data":' * 200_000,
    "data URIs in data URIs": json.dumps(table(["image"], [["data:image/png;base64," * 50_000]])).encode(),
    "base64 of base64": json.dumps(table(["image"], [[encoded(encoded(encoded(png()).encode()).encode())]])).encode(),
    "a number without end": b'{"input_data": ' + b"9" * 1_000_000 + b"}",
    "a million columns": json.dumps(table(["text"] * 1_000_000, [])).encode(),
    "a column for every record": json.dumps({"dataframe_records": [{str(i): ""} for i in range(50_000)]}).encode(),
}


BOMB_POSTS = {name: Post("/embed/image", "image/png", data) for name, data in BOMBS.items()}
BOMB_POSTS |= {name: Post("/invocations", "application/json", body) for name, body in DOCUMENTS.items()}


@pytest.mark.usefixtures("sound_answer")
@pytest.mark.parametrize("post", BOMB_POSTS.values(), ids=BOMB_POSTS)
def test_a_bomb_is_refused_or_answered(post: Post, server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:
        assert send(client, post) in ANSWERED | REFUSED


@pytest.mark.timing
@pytest.mark.parametrize("post", BOMB_POSTS.values(), ids=BOMB_POSTS)
def test_a_bomb_costs_little(post: Post, server: Server, process: psutil.Process) -> None:
    spent = []
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:
        client.get("/health/live")
        memory = process.memory_info().rss
        for _ in range(3):
            before = process.cpu_times()
            send(client, post)
            after = process.cpu_times()
            spent.append(after.user + after.system - before.user - before.system)
        grown = process.memory_info().rss - memory
    assert min(spent) < MOST_CPU_S  # the kernel's part, of making room, depends on what else the machine does
    assert grown < MOST_BYTES
