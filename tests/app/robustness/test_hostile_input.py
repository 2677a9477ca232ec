"""Hostile input to a real server: refused or answered at little cost; the next request is answered correctly."""

import collections
import json
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import httpx
import numpy as np
import psutil
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.image_files.bombs.corpus import BOMBS, ENTRIES, PARAMETERS
from tests.support.image_files.bombs.documents import DOCUMENTS
from tests.support.image_files.dicom import ct
from tests.support.image_files.hostile_corpus import Post, malformed
from tests.support.image_files.volumes import nifti
from tests.support.samples import TEXT, assert_close, encoded, png, table, vectors
from tests.support.servers.server_process import PATIENCE_S, Server, started
from tests.support.servers.serving import wait_until_ready

INPUTS, WARM_UP = 2400, 400
ANSWERED, REFUSED = {200}, {400, 413, 415}
MAX_GROWTH_BYTES = 64e6
MAX_CPU_S, MAX_BOMB_BYTES = 4.0, 400e6  # per bomb; a volume may have 256 MiB
ROUTES = ("/embed", "/score", "/invocations", "/embed/image", "/embed/text", "/render")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server with the demonstration model, so that inputs that are valid images cost little."""
    with started("", offline=True) as server:
        wait_until_ready(server.url)
        for data in (ct(np.zeros((2, 2), np.uint8)), nifti()):  # the first file of a kind imports its reader
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


def answer_to(client: httpx.Client, post: Post) -> httpx.Response:
    answer = client.post(post.path, content=post.body, headers={"content-type": post.content_type})
    if answer.status_code != httpx.codes.OK:
        assert answer.json()["message"].endswith("."), answer.text
    return answer


def send(client: httpx.Client, post: Post) -> int:
    return answer_to(client, post).status_code


def send_all(server: Server, posts: list[Post]) -> collections.Counter[int]:
    """The number of answers per status; four requests are in flight at a time."""
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client, ThreadPoolExecutor(4) as pool:
        return collections.Counter(pool.map(lambda post: send(client, post), posts))


@pytest.mark.usefixtures("sound_answer")
def test_thousands_of_malformed_inputs_are_refused_or_answered(server: Server) -> None:
    statuses = send_all(server, list(malformed(INPUTS, seed=2026)))
    assert set(statuses) <= ANSWERED | REFUSED, statuses
    assert sum(statuses.values()) == INPUTS
    refused = sum(statuses[status] for status in REFUSED)
    assert 0.4 * INPUTS < refused < 0.9 * INPUTS, statuses  # the others are still valid images or texts


@pytest.mark.timing
def test_thousands_of_malformed_inputs_leave_no_memory_behind(server: Server, process: psutil.Process) -> None:
    corpus = list(malformed(INPUTS, seed=2026))
    send_all(server, corpus[:WARM_UP])
    level = process.memory_info().rss
    send_all(server, corpus[WARM_UP:])
    assert process.memory_info().rss - level < MAX_GROWTH_BYTES


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


def bomb(name: str, parameter: str) -> Post:
    return Post(f"/embed/image?{PARAMETERS[parameter]}", "image/png", BOMBS[name]())


BOMB_POSTS: dict[str, Callable[[], Post]] = {
    **{name: partial(bomb, *entry) for name, entry in ENTRIES.items()},
    **{name: partial(Post, "/invocations", "application/json", document) for name, document in DOCUMENTS.items()},
}


@pytest.mark.usefixtures("sound_answer")
@pytest.mark.parametrize("name", BOMB_POSTS)
def test_a_bomb_is_refused_or_answered(name: str, server: Server) -> None:
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:
        assert send(client, BOMB_POSTS[name]()) in ANSWERED | REFUSED


@pytest.mark.timing
@pytest.mark.parametrize("name", BOMB_POSTS)
def test_a_bomb_costs_little(name: str, server: Server, process: psutil.Process) -> None:
    post = BOMB_POSTS[name]()
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S) as client:
        client.get("/health/live")
        memory = process.memory_info().rss
        spent = cpu_s(client, process, post)
        grown = process.memory_info().rss - memory
        answer = answer_to(client, post)
        if answer.status_code in ANSWERED and PARAMETERS["frames"] in post.path:  # the embedding is no bomb's cost
            plain = ct(np.zeros((len(answer.json()[0]["image_features"]), 1, 1), np.uint8))
            spent -= cpu_s(client, process, Post(post.path, "application/dicom", plain))
    assert spent < MAX_CPU_S
    assert grown < MAX_BOMB_BYTES


def cpu_s(client: httpx.Client, process: psutil.Process, post: Post) -> float:
    """The least CPU time of three sendings: the kernel's share depends on the other load of the machine."""
    spent = []
    for _ in range(3):
        before = process.cpu_times()
        send(client, post)
        after = process.cpu_times()
        spent.append(after.user + after.system - before.user - before.system)
    return min(spent)
