"""A file of keys: how it is written, and how its changes reach a running service."""

import logging
import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import KeysUnusable
from app.middleware.key_store import ERROR_EVERY_S, MAX_FILE_BYTES, KeyFile, KeyStore
from app.settings import Settings

SETTING = "API_KEYS_FILE"


def accepted(keys: KeyStore, *tried: str) -> list[bool]:
    return [keys.accepts(key.encode()) for key in tried]


@pytest.mark.parametrize(
    "content",
    [
        b"first\nsecond\n",
        b"\xef\xbb\xbffirst\nsecond\n",  # a byte order mark, as Windows editors write it
        b"first\r\nsecond\r\n",
        b"first \t\n  second",
        b"# of the viewer\n\nfirst\n  # of the robot\nsecond\nfirst\n",
    ],
)
def test_a_file_has_one_key_per_line(content: bytes, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_bytes(content)
    keys = KeyStore((), KeyFile(file, SETTING))
    assert accepted(keys, "first", "second") == [True, True]
    assert accepted(keys, "", "\ufefffirst", "# of the viewer", "first ", "FIRST") == [False] * 5


def test_a_change_counts_from_the_next_request_on_whatever_the_clock_of_the_file_says(tmp_path: Path) -> None:
    file = tmp_path / "keys"
    file.write_text("old\n")
    before = file.stat()
    keys = KeyStore(["given"], KeyFile(file, SETTING))
    file.write_text("new\n")  # the same inode
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert accepted(keys, "given", "old", "new") == [True, False, True]


def test_a_mounted_secret_is_changed_by_a_symbolic_link(tmp_path: Path) -> None:
    """Kubernetes writes a new folder, and renames the link ..data to it."""
    for version in ("old", "new"):
        (tmp_path / version).mkdir()
        (tmp_path / version / "keys").write_text(f"{version}\n")
    (tmp_path / "..data").symlink_to("old")
    (tmp_path / "keys").symlink_to("..data/keys")
    keys = KeyStore((), KeyFile(tmp_path / "keys", SETTING))
    assert accepted(keys, "old", "new") == [True, False]
    (tmp_path / "next").symlink_to("new")
    (tmp_path / "next").rename(tmp_path / "..data")
    assert accepted(keys, "old", "new") == [False, True]


def test_an_emptied_file_revokes_its_keys(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = tmp_path / "keys"
    file.write_text("old\n")
    keys = KeyStore(["given"], KeyFile(file, SETTING))
    for emptied in ("", "# nobody\n", "\ufeff\n"):
        file.write_text(emptied, encoding="utf-8")
        assert accepted(keys, "given", "old", "") == [True, False, False]
    assert "0 keys" in caplog.text
    file.write_text("new\n")
    assert accepted(keys, "old", "new") == [False, True]


def forbid(file: Path) -> None:
    file.unlink()
    file.mkdir()


@pytest.mark.parametrize(
    "spoil",
    [
        Path.unlink,
        forbid,
        lambda file: file.write_bytes("key\n".encode("utf-16")),
        lambda file: file.write_bytes(b"key\n" * MAX_FILE_BYTES),
    ],
    ids=["gone", "a folder", "not UTF-8", "too large"],
)
def test_an_unreadable_file_keeps_its_last_keys_and_is_reported_once_per_minute(
    spoil: Callable[[Path], object], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys"
    file.write_text("old\n")
    now_s = 1000.0
    keys = KeyStore((), KeyFile(file, SETTING, clock=lambda: now_s))
    spoil(file)
    for passed_s in (0.0, ERROR_EVERY_S - 1, 2.0, 3.0, ERROR_EVERY_S):
        now_s += passed_s
        assert accepted(keys, "old", "key") == [True, False]
    errors = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(errors) == 3
    assert all("the keys that were read last stay valid" in record.getMessage() for record in errors)
    assert all("key\\n" not in record.getMessage() for record in errors)


def test_a_file_that_can_be_read_again_is_reported_at_once_when_it_fails_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "keys"
    file.write_text("old\n")
    keys = KeyStore((), KeyFile(file, SETTING, clock=lambda: 0.0))
    for _ in range(2):
        file.unlink()
        assert accepted(keys, "old") == [True]
        file.write_text("old\n")
        assert accepted(keys, "old") == [True]
    assert caplog.text.count("stay valid") == 2


def test_a_pipe_is_read_once(tmp_path: Path) -> None:
    """A shell makes one: `--api-keys-file <(pass show keys)`."""
    pipe = tmp_path / "keys"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("first\n",))
    writer.start()
    keys = KeyStore((), KeyFile(pipe, SETTING))
    writer.join()
    assert accepted(keys, "first", "second") == [True, False]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read"),
        (b"", "holds no key"),
        (b"\xef\xbb\xbf\n# none\n", "holds no key"),
        (b"\xff\xfek\0", "is not UTF-8"),
        (b"key\n" * MAX_FILE_BYTES, "is larger than"),
    ],
)
def test_a_file_without_keys_is_refused_at_the_start(content: bytes | None, reason: str, tmp_path: Path) -> None:
    file = tmp_path / "keys"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(KeysUnusable, match=f"{SETTING} {reason}") as error:
        KeyFile(file, SETTING)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("given", [",", " ", " , ,"])
def test_keys_without_characters_are_refused(given: str) -> None:
    with pytest.raises(KeysUnusable, match="API_KEYS holds no key"):
        KeyStore.of_clients(Settings(api_keys=given))
    with pytest.raises(KeysUnusable, match="METRICS_KEY holds no key"):
        KeyStore.of_metrics(Settings(metrics_key=given))


def test_without_settings_there_are_no_keys() -> None:
    assert KeyStore.of_clients(Settings()) is None
    assert KeyStore.of_metrics(Settings()) is None
