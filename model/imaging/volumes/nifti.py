"""NIfTI-1 and NIfTI-2 files (.nii, .nii.gz) to volumes."""

from model.errors import ImageDecodeError, InvalidInput
from model.imaging.limits import MAX_VOLUME_BYTES, volume_too_large
from model.imaging.volumes.compression import GZIP, inflate, inflate_start
from model.imaging.volumes.nifti_header import HEADER_BYTES, NiftiHeader, read_header
from model.imaging.volumes.reader import VolumeFile
from model.imaging.volumes.slices import Volume
from model.imaging.volumes.stored_values import StoredValues


def open_file(data: bytes, *, max_pixels: int) -> VolumeFile:
    """Open a NIfTI file: only its header is read, and inflated. Raises what `VolumeFile` raises."""
    return VolumeFile("NIfTI", lambda: _volume(data), max_pixels)


def _volume(data: bytes) -> Volume:
    is_compressed = data.startswith(GZIP.magic)
    header = read_header(inflate_start(data, GZIP, HEADER_BYTES) if is_compressed else data[:HEADER_BYTES])
    if is_compressed and header.offset_bytes + header.size_bytes > MAX_VOLUME_BYTES:
        raise volume_too_large()

    def load() -> bytes | memoryview:
        loaded = _inflate(data, header) if is_compressed else data
        # Where the header does not say the place of the values, only a whole file shows that they lie behind it.
        if not header.has_valid_offset and len(loaded) < header.first_volume_end:
            raise _cut_short(loaded, header)
        return loaded

    colour = [header.samples] if header.samples > 1 else []
    first = len(colour)
    values = StoredValues(
        load,
        header.kind,
        [*colour, *header.sizes],
        offset_bytes=header.offset_bytes,
        cut_short=lambda: _cut_short(data, header),
    )
    return Volume(
        values,
        (first, first + 1, first + 2),
        header.directions,
        colour_axis=0 if colour else None,
        slope=header.slope,
        intercept=header.intercept,
        is_compressed=is_compressed,
    )


def _inflate(data: bytes, header: NiftiHeader) -> memoryview:
    """The bytes up to the end of the first time point. The others are inflated too, to verify their checksums."""
    inflated = inflate(data, GZIP, max_bytes=MAX_VOLUME_BYTES, keep_bytes=header.first_volume_end, source="NIfTI file")
    if inflated.size_bytes > MAX_VOLUME_BYTES:
        raise volume_too_large()
    if inflated.size_bytes < header.first_volume_end:
        raise ImageDecodeError("the NIfTI file contradicts itself: its header announces more values than its gzip data "
                               "contains")  # fmt: skip
    return inflated.start


def _cut_short(data: bytes | memoryview, header: NiftiHeader) -> InvalidInput:
    if header.offset_bytes >= len(data):
        return ImageDecodeError("the NIfTI file is cut short: its header's vox_offset places the values behind its end")
    return ImageDecodeError("the NIfTI file is cut short: its header announces more values than it contains")
