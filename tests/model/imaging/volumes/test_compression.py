"""Gzip and bzip2 data of several members is inflated whole, within limits."""

import bz2
import gzip
import resource
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from model.errors import ImageDecodeError
from model.imaging.volumes.compression import BZIP2, GZIP, MAX_MEMBERS, Compression, inflate, inflate_start

PACK: dict[str, Any] = {"gzip": gzip.compress, "bzip2": bz2.compress}
CONTENTS = bytes(range(256)) * 8
KINDS = pytest.mark.parametrize("compression", [GZIP, BZIP2], ids=["gzip", "bzip2"])


class CountedInflater:
    """An inflater that counts the bytes that all of them have read and copied."""

    read_bytes = copied_bytes = written_bytes = 0

    def __init__(self) -> None:
        self._inflater = GZIP.new_inflater()

    @property
    def eof(self) -> Any:
        return self._inflater.eof

    @property
    def unused_data(self) -> Any:
        return self._inflater.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        inflated: bytes = self._inflater.decompress(data, max_length)
        CountedInflater.read_bytes += len(data)
        CountedInflater.copied_bytes += len(self._inflater.unused_data)
        CountedInflater.written_bytes += len(inflated)
        return inflated


@pytest.fixture
def counted() -> Compression:
    CountedInflater.read_bytes = CountedInflater.copied_bytes = CountedInflater.written_bytes = 0
    return Compression("gzip", GZIP.magic, CountedInflater)


def whole(data: bytes, compression: Compression = GZIP, max_bytes: int = 10**6) -> bytes:
    return inflate(data, compression, max_bytes=max_bytes, keep_bytes=max_bytes, source="test file").start.tobytes()


@KINDS
def test_all_members_are_inflated(compression: Compression) -> None:
    pack = PACK[compression.name]
    for size in (1, 100, 2047, 2048):
        members = [pack(CONTENTS[start : start + size]) for start in range(0, len(CONTENTS), size)]
        assert whole(b"".join(members), compression) == CONTENTS
        assert inflate_start(b"".join(members), compression, 352) == CONTENTS[:352]


@KINDS
def test_members_may_be_empty_and_padded_with_zeros(compression: Compression) -> None:
    pack = PACK[compression.name]
    data = pack(b"") * 3 + pack(CONTENTS[:9]) + bytes(5000) + pack(b"") + pack(CONTENTS[9:]) + pack(b"")
    assert whole(data, compression) == CONTENTS
    assert whole(data + bytes(10_000), compression) == CONTENTS


@KINDS
def test_other_bytes_behind_the_last_member_are_ignored(compression: Compression) -> None:
    data = PACK[compression.name](CONTENTS)
    assert whole(data + b"\nnot compressed" * 1000, compression) == CONTENTS


def test_bytes_that_are_not_kept_are_verified() -> None:
    data = gzip.compress(CONTENTS)
    inflated = inflate(data, GZIP, max_bytes=10**6, keep_bytes=10, source="test file")
    assert (inflated.start.tobytes(), inflated.size_bytes) == (CONTENTS[:10], len(CONTENTS))
    with pytest.raises(ImageDecodeError, match="the test file is damaged: its gzip data cannot be unpacked"):
        inflate(data[:-8] + bytes(8), GZIP, max_bytes=10**6, keep_bytes=10, source="test file")


@KINDS
def test_damaged_and_cut_data_are_told_apart(compression: Compression) -> None:
    data = PACK[compression.name](CONTENTS)
    for cut in (data[:-1], data[:30], data + data[:20], b""):
        with pytest.raises(ImageDecodeError, match=f"the test file is cut short: its {compression.name} data has no"):
            whole(cut, compression)
    with pytest.raises(ImageDecodeError, match="damaged"):
        whole(b"SECRET" + data, compression)


def test_the_start_is_read_from_a_file_that_goes_on_damaged() -> None:
    assert inflate_start(gzip.compress(CONTENTS)[:200], GZIP, 100) == CONTENTS[:100]
    assert inflate_start(b"SECRET", GZIP, 100) == b""


def test_inflating_stops_one_byte_behind_the_limit(counted: Compression) -> None:
    bomb = gzip.compress(bytes(5_000_000))
    assert inflate(bomb, counted, max_bytes=1000, keep_bytes=1000, source="").size_bytes == 1001
    assert CountedInflater.written_bytes == 1001
    inflate_start(bomb, counted, 352)
    assert CountedInflater.written_bytes == 1001 + 352


def test_the_number_of_members_is_limited() -> None:
    empty = gzip.compress(b"")
    assert whole(empty * (MAX_MEMBERS - 1) + gzip.compress(CONTENTS)) == CONTENTS
    with pytest.raises(ImageDecodeError, match="gzip data has more than 65,536 members; compress it as one"):
        whole(empty * (MAX_MEMBERS + 1))
    assert inflate_start(empty * (MAX_MEMBERS + 1), GZIP, 352) == b""


def test_members_are_not_copied_once_per_member(counted: Compression) -> None:
    """Each inflater copies what it did not use; the whole rest per member would be quadratic."""
    members = gzip.compress(b"") * 2000 + b"".join(gzip.compress(bytes([n % 256]) * 3000) for n in range(2000))
    assert len(whole(members, counted, 10**7)) == 2000 * 3000
    assert CountedInflater.read_bytes < 2 * len(members) + 256 * 4000
    assert CountedInflater.copied_bytes < len(members) + 256 * 4000


def test_the_start_of_a_large_file_costs_little_memory() -> None:
    data = gzip.compress(bytes(50_000_000), compresslevel=1)
    tracemalloc.start()
    assert len(inflate_start(data, GZIP, 352)) == 352
    assert tracemalloc.get_traced_memory()[1] < 200_000
    tracemalloc.stop()


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="the memory of a process is read from Linux")
def test_memory_is_taken_for_what_is_inflated_not_for_what_is_announced() -> None:
    def resident_bytes() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

    before = resident_bytes()
    inflated = inflate(gzip.compress(b"abc"), GZIP, max_bytes=2**28, keep_bytes=2**28, source="file")
    assert (bytes(inflated.start), inflated.size_bytes) == (b"abc", 3)
    assert resident_bytes() - before < 2**24
