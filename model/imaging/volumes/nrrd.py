"""NRRD files with attached header to volumes. A file without orientation is a picture, or a stack of pictures.

No other file is ever opened.
"""

from typing import Any

import numpy as np

from model.errors import ImageDecodeError, ImageFormatUnsupported
from model.imaging.limits import MAX_VOLUME_BYTES, volume_too_large
from model.imaging.volumes.compression import inflate
from model.imaging.volumes.nrrd_header import NrrdHeader, read_header
from model.imaging.volumes.orientation import unit_directions
from model.imaging.volumes.reader import VolumeFile
from model.imaging.volumes.slices import Volume
from model.imaging.volumes.stored_values import StoredValues

_SPACE_KINDS = ("domain", "space", "none", "???")  # axes in space, unless others have a direction and they have none
_SERIES_KINDS = ("time", "list")  # axes of several volumes or pictures
_COLOUR_SAMPLES = {"rgb-color": 3, "vector": 3, "rgba-color": 4}
# Signs that turn the axes of a space to right, anterior and superior.
_SPACES = {"ras": (1, 1, 1), "las": (-1, 1, 1), "lps": (-1, -1, 1)}


def open_file(data: bytes, *, max_pixels: int) -> VolumeFile:
    """Open a NRRD file: only its header is read. Raises what `VolumeFile` raises."""
    return VolumeFile("NRRD", lambda: _volume(data), max_pixels)


def _volume(data: bytes) -> Volume:
    header = read_header(data)
    if header.compression is not None and header.size_bytes > MAX_VOLUME_BYTES:
        raise volume_too_large()
    space, series, colours = _axes(header)
    directions = _unit_directions(header, space)
    added = len(header.sizes)  # number of one more axis, of one value: the third axis of a single picture
    first, second, third = (*space, *series, added)[:3]
    values = StoredValues(
        lambda: _load(data, header), header.kind, (*header.sizes, 1), offset_bytes=0, cut_short=_cut_short
    )
    return Volume(
        values,
        (first, second, third),
        directions,
        colour_axis=colours[0] if colours else None,
        is_stack=directions is None or len(space) < 3,
        is_compressed=header.compression is not None,
    )


def _axes(header: NrrdHeader) -> tuple[list[int], list[int], list[int]]:
    """The numbers of the axes in space, of the axes of several volumes or pictures, and of the colour axis."""
    sizes, kinds, last = header.sizes, header.kinds, len(header.sizes) - 1
    colours = [axis for axis in sorted({0, last}) if kinds[axis] in _COLOUR_SAMPLES and sizes[axis] > 1]
    known = (*_SPACE_KINDS, *_SERIES_KINDS)
    others = [axis for axis in range(last + 1) if axis not in colours and (kinds[axis] in known or sizes[axis] > 1)]
    if (
        any(sizes[axis] != _COLOUR_SAMPLES[kinds[axis]] or header.kind != np.uint8 for axis in colours)
        or any(kinds[axis] not in known for axis in others)
        or len(colours) > 1
    ):
        raise ImageFormatUnsupported("the NRRD file contains vectors, matrices or colours other than 8-bit RGB; "
                                     "save it as numbers or as 8-bit RGB")  # fmt: skip
    if len(others) < 2 or sum(sizes[axis] > 1 for axis in others) > 4:
        raise ImageFormatUnsupported("the NRRD file must have two to four dimensions, without colours and dimensions "
                                     "of size 1")  # fmt: skip
    series = [axis for axis in others if kinds[axis] in _SERIES_KINDS or not _is_in_space(header, axis)]
    return _at_most_three([axis for axis in others if axis not in series], sizes), series, colours


def _is_in_space(header: NrrdHeader, axis: int) -> bool:
    """Whether the axis has a direction in space, or none has. A fourth number of a vector is its direction in time."""
    if not any(header.directions):
        return True
    direction = header.directions[axis]
    return direction is not None and (any(direction[:3]) or not any(direction[3:]))


def _at_most_three(space: list[int], sizes: tuple[int, ...]) -> list[int]:
    """The axes without the last and first ones of size 1, as long as there are more than three."""
    space = list(space)
    while len(space) > 3 and 1 in (sizes[space[-1]], sizes[space[0]]):
        space.pop(-1 if sizes[space[-1]] == 1 else 0)
    return space


def _unit_directions(header: NrrdHeader, space: list[int]) -> Any:
    """(3, 3), unit vectors to right, anterior and superior in columns; None without orientation in one of `_SPACES`.

    The third axis of a picture in space is its normal.
    """
    words = header.space.split("-")
    letters = words[0] if len(words) == 1 else "".join(word[:1] for word in words)
    signs = _SPACES.get(letters.removesuffix("t"))  # "t": the same space with time
    vectors = [header.directions[axis] for axis in space[:3]]
    if signs is None or not any(header.directions) or len(vectors) < 2:
        return None
    if any(vector is None or len(vector) < 3 for vector in vectors):
        raise ImageDecodeError("the NRRD file's space has three dimensions, so its space directions must have three "
                               "numbers each")  # fmt: skip
    columns = np.zeros((3, 3))
    for number, vector in enumerate(vectors):
        columns[:, number] = np.multiply(vector[:3] if vector else 0.0, signs)
    lengths = (*(header.sizes[axis] for axis in space[:3]), 1)[:3]
    directions = unit_directions(columns, lengths)
    if directions is None:
        raise ImageDecodeError("the NRRD file's space directions are zero or lie in one plane; there must be one "
                               "direction per axis in space")  # fmt: skip
    return directions


def _load(data: bytes, header: NrrdHeader) -> bytes | memoryview:
    """The bytes of all values."""
    stored = memoryview(data)[header.values_place :]
    if header.compression is None:
        if len(stored) < header.size_bytes:
            raise _cut_short()
        return stored
    inflated = inflate(
        stored, header.compression, max_bytes=header.size_bytes, keep_bytes=header.size_bytes, source="NRRD file"
    )
    if inflated.size_bytes != header.size_bytes:
        amount = "more" if inflated.size_bytes < header.size_bytes else "fewer"
        raise ImageDecodeError(f"the NRRD file contradicts itself: its header announces {amount} values than its "
                               f"{header.compression.name} data contains")  # fmt: skip
    return inflated.start


def _cut_short() -> ImageDecodeError:
    return ImageDecodeError("the NRRD file is cut short: its header announces more values than it contains")
