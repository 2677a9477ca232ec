"""Downloads from a stand-in hub, which is a real HTTP server on the loopback interface."""

import hashlib
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2
import pytest
from huggingface_hub import snapshot_download

from model.checkpoints.hub import HubId, download
from model.checkpoints.hub_cache import write_atomically
from model.errors import CheckpointError, CheckpointNotCached
from tests.support.servers.standin_hub import CONFIG, OTHERS, RELEASE, REPO, TOKENIZER, WEIGHTS, Fault, StandinHub

CHUNK = 10 * 2**20  # bytes per write of huggingface_hub


@pytest.fixture
def hub() -> Iterator[StandinHub]:
    with StandinHub() as standin:
        standin.publish(REPO, RELEASE | OTHERS, tag="v1")
        yield standin


def fetch(hub: StandinHub, cache: Path, text: str = REPO, *, offline: bool = False) -> Path:
    hub_id = HubId.parse(text)
    assert hub_id is not None
    return download(hub_id, cache_dir=cache, offline=offline, progress=False, endpoint=hub.endpoint)


def contents(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def partial_weights(cache: Path) -> Path:
    return cache / f"models--{REPO.replace('/', '--')}/blobs/{hashlib.sha256(RELEASE[WEIGHTS]).hexdigest()}.incomplete"


def sentence_of(error: pytest.ExceptionInfo[CheckpointError], cache: Path) -> str:
    """The error's message, after a check that it is one sentence without a path of this machine."""
    message = str(error.value)
    assert message.endswith(".")
    assert not [unwanted for unwanted in (". ", "\n", "Traceback", str(cache)) if unwanted in message]
    return message


@pytest.mark.parametrize("revision", [None, "main", "v1.0", "refs/pr/3", "9d6ce384f821ee731e84a7ede9ce119e1abccf77"])
def test_an_id_is_owner_slash_name_with_an_optional_revision(revision: str | None) -> None:
    text = f"{REPO}@{revision}" if revision else REPO
    assert HubId.parse(text) == HubId(REPO, revision)
    assert str(HubId(REPO, revision)) == text


@pytest.mark.parametrize("text", ["model", "./a/b", "/a/b", "a/b/c", "a/b@", "a/b@../c", "a--b/c", "a/b..c", "a/b\n"])
def test_other_texts_are_not_ids(text: str) -> None:
    assert HubId.parse(text) is None


def test_a_release_folder_is_downloaded_and_nothing_else(hub: StandinHub, tmp_path: Path) -> None:
    snapshot = fetch(hub, tmp_path)
    assert contents(snapshot) == RELEASE
    assert not [request for name in OTHERS for request in hub.fetched(Path(name).name)]


def test_a_second_call_transfers_no_file_and_offline_asks_nothing_at_all(hub: StandinHub, tmp_path: Path) -> None:
    first = fetch(hub, tmp_path)
    hub.requests.clear()
    assert fetch(hub, tmp_path, offline=True) == first
    assert hub.requests == []
    assert fetch(hub, tmp_path) == first
    assert len(hub.requests) == 1  # the commit of `main`
    assert hub.fetched() == []


def test_a_revision_is_a_branch_a_tag_or_a_commit(hub: StandinHub, tmp_path: Path) -> None:
    newer = hub.publish(REPO, RELEASE | {CONFIG: b"newer"})
    assert contents(fetch(hub, tmp_path, f"{REPO}@v1"))[CONFIG] == RELEASE[CONFIG]
    assert contents(fetch(hub, tmp_path, f"{REPO}@main"))[CONFIG] == b"newer"
    hub.requests.clear()
    assert contents(fetch(hub, tmp_path, f"{REPO}@{newer}"))[CONFIG] == b"newer"
    assert hub.requests == []  # a commit never changes


def test_a_new_commit_transfers_only_the_files_that_changed(hub: StandinHub, tmp_path: Path) -> None:
    fetch(hub, tmp_path)
    hub.requests.clear()
    hub.publish(REPO, RELEASE | {CONFIG: b"newer"})
    assert contents(fetch(hub, tmp_path)) == RELEASE | {CONFIG: b"newer"}
    assert [request.path.rpartition("/")[2] for request in hub.fetched()] == ["config.yaml"]


def test_a_connection_that_is_cut_is_resumed_where_it_broke(hub: StandinHub, tmp_path: Path) -> None:
    hub.faults.append(Fault("cut", after=CHUNK + 4096))
    assert contents(fetch(hub, tmp_path)) == RELEASE
    assert [request.range for request in hub.fetched(Path(WEIGHTS).name)] == [None, f"bytes={CHUNK}-"]


def test_a_download_that_failed_is_continued_by_the_next_call(hub: StandinHub, tmp_path: Path) -> None:
    hub.faults.extend([Fault("cut", after=CHUNK + 4096), Fault("reset", after=4096)])
    with pytest.raises(CheckpointError) as error:
        fetch(hub, tmp_path)
    assert "cannot be downloaded from the Hugging Face hub (ReadError)" in sentence_of(error, tmp_path)
    assert contents(fetch(hub, tmp_path)) == RELEASE
    assert [request.range for request in hub.fetched(Path(WEIGHTS).name)] == [None, *[f"bytes={CHUNK}-"] * 2]


def test_a_killed_download_is_not_taken_for_complete_and_is_continued(hub: StandinHub, tmp_path: Path) -> None:
    imports = "import sys; from pathlib import Path; from model.checkpoints.hub import *"
    program = f"{imports}; download(HubId(sys.argv[1]), cache_dir=Path(sys.argv[2]))"
    command = [sys.executable, "-c", program, REPO, str(tmp_path)]
    env = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home")}
    hub.faults.append(Fault("hold", after=CHUNK + 4096))
    with subprocess.Popen(command, env=env) as process:
        deadline = time.monotonic() + 30
        while not (partial_weights(tmp_path).exists() and partial_weights(tmp_path).stat().st_size == CHUNK):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
    with pytest.raises(CheckpointNotCached) as error:
        fetch(hub, tmp_path, offline=True)
    assert f"which lacks {WEIGHTS}" in sentence_of(error, tmp_path)

    subprocess.run(command, env=env, check=True, timeout=30)
    assert contents(fetch(hub, tmp_path, offline=True)) == RELEASE
    assert [request.range for request in hub.fetched(Path(WEIGHTS).name)] == [None, f"bytes={CHUNK}-"]
    assert not any("torch" in request.user_agent or "harness" in request.path for request in hub.requests)


def test_a_token_is_shown_to_the_hub_and_not_to_the_store_it_redirects_to(
    hub: StandinHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    fetch(hub, tmp_path)
    assert all(request.has_token != request.path.startswith("/store/") for request in hub.requests)


@pytest.mark.parametrize(
    ("path", "served"),
    [
        pytest.param(WEIGHTS, RELEASE[WEIGHTS][:-1], id="truncated"),
        pytest.param(WEIGHTS, RELEASE[WEIGHTS][:-1] + b"!", id="wrong sha256"),
        pytest.param(CONFIG, RELEASE[CONFIG] + b"#", id="too long"),
        pytest.param(CONFIG, RELEASE[CONFIG].lower(), id="wrong git blob id"),
    ],
)
def test_a_damaged_file_is_refused_and_not_kept(hub: StandinHub, tmp_path: Path, path: str, served: bytes) -> None:
    hub.served[path] = served
    with pytest.raises(CheckpointError) as error:
        fetch(hub, tmp_path)
    assert f"{path} of {REPO} does not match its checksum" in sentence_of(error, tmp_path)
    assert served not in contents(tmp_path).values()

    hub.served.clear()
    assert contents(fetch(hub, tmp_path)) == RELEASE
    assert hub.fetched(Path(path).name)[-1].range is None


def test_each_failure_is_explained_in_one_sentence(hub: StandinHub, tmp_path: Path) -> None:
    def refusal(text: str, cache: str = "cache") -> str:
        with pytest.raises(CheckpointError) as error:
            fetch(hub, tmp_path / cache, text)
        return sentence_of(error, tmp_path)

    assert "other/model is not on the Hugging Face hub or is private" in refusal("other/model")
    assert f"{REPO}@v9 names a revision that does not exist on the Hugging Face hub" in refusal(f"{REPO}@v9")
    hub.publish("some/text-model", {"config.json": b"{}", "model.safetensors": b""})
    assert "some/text-model contains no release folder" in refusal("some/text-model")
    (tmp_path / "a file").touch()
    assert f"{REPO} cannot be stored in the model cache (Not a directory)" in refusal(REPO, "a file")
    hub.repositories[REPO].claimed_sizes[WEIGHTS] = 10**18
    assert f"{REPO} needs 1,000,000,000,000," in refusal(REPO)
    hub.repositories[REPO].claimed_sizes.clear()
    hub.repositories[REPO].gated = True
    assert f"{REPO} is gated on the Hugging Face hub" in refusal(REPO)
    hub.outage_status = 503
    assert f"{REPO} cannot be downloaded from the Hugging Face hub (HTTP 503)" in refusal(REPO)
    hub.outage_status = 200  # as with the login page of a proxy: status 200, but not JSON
    assert f"{REPO} cannot be downloaded from the Hugging Face hub (JSONDecodeError)" in refusal(REPO)
    hub.stop()
    assert f"{REPO} cannot be downloaded from the Hugging Face hub (ConnectError)" in refusal(REPO)


def test_offline_without_a_cache_says_what_is_missing_and_how_to_get_it(hub: StandinHub, tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotCached) as error:
        fetch(hub, tmp_path, offline=True)
    assert sentence_of(error, tmp_path) == (
        f"{REPO} is incomplete in the model cache, which lacks config.yaml, the weights and the tokenizer files; "
        f"run `medimageinsight download {REPO}` on a machine with network and copy its cache to this machine."
    )
    (fetch(hub, tmp_path) / TOKENIZER / "merges.txt").unlink()
    with pytest.raises(CheckpointNotCached, match=rf"which lacks {TOKENIZER}/merges.txt; run"):
        fetch(hub, tmp_path, offline=True)


def test_a_file_that_shrank_in_the_cache_is_fetched_again(hub: StandinHub, tmp_path: Path) -> None:
    with (fetch(hub, tmp_path) / WEIGHTS).open("r+b") as weights:
        weights.truncate(100)
    with pytest.raises(CheckpointNotCached, match=WEIGHTS):
        fetch(hub, tmp_path, offline=True)
    assert contents(fetch(hub, tmp_path)) == RELEASE


@pytest.mark.parametrize("trouble", ["down", "failing", "serving damaged files"])
def test_a_server_starts_from_the_cache_while_the_hub_is_in_trouble(
    hub: StandinHub, tmp_path: Path, caplog: pytest.LogCaptureFixture, trouble: str
) -> None:
    snapshot = fetch(hub, tmp_path)
    if trouble == "down":
        hub.stop()
    elif trouble == "failing":
        hub.outage_status = 502
    else:
        hub.publish(REPO, RELEASE | {CONFIG: b"newer"})
        hub.served[CONFIG] = b"damaged"
    with caplog.at_level(logging.WARNING, logger="model.checkpoints.hub"):
        assert fetch(hub, tmp_path) == snapshot
    assert contents(snapshot) == RELEASE
    assert f"The snapshot that was verified earlier is used (commit {snapshot.name})." in caplog.text


def test_downloads_at_the_same_time_share_one_transfer(hub: StandinHub, tmp_path: Path) -> None:
    with ThreadPoolExecutor(3) as pool:
        (snapshot,) = set(pool.map(lambda _: fetch(hub, tmp_path), range(3)))
    assert contents(snapshot) == RELEASE
    assert len(hub.fetched(Path(WEIGHTS).name)) == 1


def test_small_files_may_be_written_by_several_at_the_same_moment(tmp_path: Path) -> None:
    together = threading.Barrier(4)

    def write(number: int) -> None:
        for turn in range(200):
            together.wait(30)
            write_atomically(tmp_path / "refs" / "main", f"commit {turn}, {number % 2}")

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(write, range(4))) == [None] * 4
    assert (tmp_path / "refs" / "main").read_text() in ("commit 199, 0", "commit 199, 1")
    assert len(list((tmp_path / "refs").iterdir())) == 1


def test_a_cache_that_huggingface_hub_filled_is_checked_and_adopted(hub: StandinHub, tmp_path: Path) -> None:
    program = "import sys; from huggingface_hub import snapshot_download as get; print(get(sys.argv[1], cache_dir="
    command = [sys.executable, "-c", f"{program}sys.argv[2]))", REPO, str(tmp_path)]
    env = os.environ | {"HF_ENDPOINT": hub.endpoint, "HF_HOME": str(tmp_path / "home"), "HF_HUB_DISABLE_TELEMETRY": "1"}
    theirs = subprocess.run(command, env=env, check=True, timeout=30, stdout=subprocess.PIPE, text=True).stdout.strip()
    hub.requests.clear()
    assert fetch(hub, tmp_path) == Path(theirs)
    assert hub.fetched() == []


def test_snapshot_download_still_loses_a_failed_transfer_and_accepts_wrong_bytes(
    hub: StandinHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two reasons why this project has its own download; if this test fails, huggingface_hub may replace it."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_TELEMETRY", True)
    hub.faults.extend([Fault("cut", after=CHUNK + 4096), Fault("reset", after=4096)])
    with pytest.raises(httpx2.ReadError):
        snapshot_download(REPO, cache_dir=tmp_path, endpoint=hub.endpoint)
    assert list(tmp_path.rglob("*.incomplete")) == []

    hub.served[WEIGHTS] = RELEASE[WEIGHTS][:-1] + b"!"
    snapshot = Path(snapshot_download(REPO, cache_dir=tmp_path, endpoint=hub.endpoint))
    assert (snapshot / WEIGHTS).read_bytes() == hub.served[WEIGHTS]
    ranges = [request.range for request in hub.requests if request.method == "GET" and "/store/" in request.path]
    assert [asked for asked in ranges if asked] == [f"bytes={CHUNK}-"]  # the second call starts again at byte 0


def test_a_progress_bar_is_shown_unless_it_is_switched_off(
    hub: StandinHub, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TQDM_POSITION", "-1")  # makes huggingface_hub show bars without a terminal
    download(HubId(REPO), cache_dir=tmp_path / "quiet", endpoint=hub.endpoint, progress=False)
    assert capsys.readouterr().err == ""
    download(HubId(REPO), cache_dir=tmp_path / "shown", endpoint=hub.endpoint)
    assert Path(WEIGHTS).name in capsys.readouterr().err
