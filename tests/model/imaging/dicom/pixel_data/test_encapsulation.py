"""Frames are found in encapsulated pixel data, whatever its offset table says."""

import struct
from collections.abc import Sequence

import pytest

from model.errors import ImageDecodeError, ImageTooLarge
from model.imaging.dicom.pixel_data.encapsulation import MAX_FRAGMENTS, EncapsulatedFrames

START = b"\xff\xd8\xff"
FRAMES = [START + b"first!!", START + b"second!", START + b"third!!"]
DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"


def item(value: bytes) -> bytes:
    return b"\xfe\xff\x00\xe0" + struct.pack("<I", len(value)) + value


def frames(
    fragments: Sequence[bytes],
    *,
    table: Sequence[int] = (),
    count: int = 3,
    extended: Sequence[int] = (),
    end: bytes = DELIMITER,
) -> EncapsulatedFrames:
    offsets = item(struct.pack(f"<{len(table)}I", *table))
    return EncapsulatedFrames(b"header" + offsets + b"".join(map(item, fragments)) + end, 6, count, extended)


def all_of(found: EncapsulatedFrames, count: int = 3) -> list[bytes]:
    return [found.codestream(index) for index in range(count)]


@pytest.mark.parametrize("table", [[], [0, 18, 36], [0, 0, 0], [0], [5, 6, 7], [0, 18, 999_999], [36, 18, 0]])
def test_one_fragment_per_frame_needs_no_offset_table_and_ignores_a_wrong_one(table: list[int]) -> None:
    assert all_of(frames(FRAMES, table=table)) == FRAMES


HALVES = [half for frame in FRAMES for half in (frame[:6], frame[6:])]


@pytest.mark.parametrize("table", [[], [0, 26, 52], [0, 0, 0], [0], [0, 14, 52, 60], [0, 25, 52]])
def test_fragments_are_joined_by_a_right_table_or_by_the_first_bytes_of_a_codestream(table: list[int]) -> None:
    assert all_of(frames(HALVES, table=table)) == FRAMES


THIRDS = [part for frame in FRAMES for part in (frame[:4], frame[4:6], frame[6:])]


@pytest.mark.parametrize("table", [[0, 12, 22], [0, 12, 34], [0, 34, 46]])
def test_a_table_that_fits_the_fragments_and_contradicts_the_codestreams_is_not_used(table: list[int]) -> None:
    assert all_of(frames(THIRDS, table=table)) == FRAMES


def test_the_extended_offset_table_counts_where_the_basic_one_is_empty() -> None:
    unmarked = [b"aaaa", b"bbbb", b"cccc", b"dddd"]
    assert all_of(frames(unmarked, count=2, extended=[0, 24]), 2) == [b"aaaabbbb", b"ccccdddd"]


def test_all_fragments_belong_to_the_only_frame() -> None:
    assert all_of(frames([b"ab", b"cd", b"ef"], count=1), 1) == [b"abcdef"]


def test_run_length_encoded_frames_begin_with_their_header() -> None:
    encoded = [struct.pack("<16I", 1, 64, *[0] * 14) + bytes([number]) for number in range(3)]
    split = [part for frame in encoded for part in (frame[:64], frame[64:])]
    assert all_of(frames(split)) == encoded


def test_frames_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(ImageDecodeError, match="cannot be told apart: its offset table is missing or wrong"):
        frames([b"aaaa", b"bbbb"], count=3)


def test_fewer_frames_than_announced_are_read_and_the_missing_ones_named() -> None:
    found = frames(FRAMES, count=5)
    assert all_of(found) == FRAMES
    with pytest.raises(ImageDecodeError, match=r"fewer frames than its element Number of Frames \(NumberOfFrames\)"):
        found.codestream(3)


def test_a_frame_cut_short_is_refused_and_the_others_are_read() -> None:
    found = EncapsulatedFrames(item(b"") + b"".join(map(item, FRAMES))[:-2], 0, 3, [])
    assert all_of(found, 2) == FRAMES[:2]
    with pytest.raises(ImageDecodeError, match="cut short in its pixel data"):
        found.codestream(2)


def test_a_length_that_does_not_count_its_padding_is_corrected() -> None:
    data = item(b"") + item(b"odd") + b"\0" + item(b"even") + DELIMITER
    found = EncapsulatedFrames(data, 0, 2, [])
    assert all_of(found, 2) == [b"odd", b"even"]


def test_the_delimiter_may_be_missing_at_the_end_of_the_file() -> None:
    assert all_of(frames(FRAMES, end=b"")) == FRAMES


@pytest.mark.parametrize("data", [b"", b"not an item", item(b"") + item(b"x") + b"other"])
def test_other_bytes_are_refused(data: bytes) -> None:
    with pytest.raises(ImageDecodeError, match="it is not a sequence of compressed frames"):
        EncapsulatedFrames(data, 0, 1, [])


def test_a_hundred_thousand_fragments_are_read_and_more_are_refused() -> None:
    found = frames([START + b"x"] * 100_000, count=50_000, table=[])
    assert found.codestream(99_999) == START + b"x"
    with pytest.raises(ImageTooLarge, match="more than 131,072 fragments"):
        frames([b""] * (MAX_FRAGMENTS + 1), count=1)
