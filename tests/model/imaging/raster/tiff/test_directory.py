"""Tags of TIFF pages."""

import imagecodecs
import numpy as np
import pytest

from model.imaging.images import decode
from tests.support.image_files.raster import TiffPage, tiff

INDICES = np.arange(16, dtype=np.uint8).reshape(4, 4)
RED, GREEN, BLUE = (np.linspace(start, end, 256).astype(int) for start, end in ((0, 255), (255, 0), (100, 200)))


@pytest.mark.parametrize("reader", ["Pillow", "tifffile"])
@pytest.mark.parametrize("bits", [4, 8])
@pytest.mark.parametrize("factor", [1, 256, 257])
def test_a_colour_map_has_8_bits_if_no_entry_is_above_255(reader: str, bits: int, factor: int) -> None:
    """Section 5 demands 16 bits; old writers store 0 to 255."""
    strip = INDICES.tobytes() if bits == 8 else (INDICES[:, ::2] << 4 | INDICES[:, 1::2]).tobytes()
    compression = 1
    if reader == "tifffile":
        compression, strip = 34926, bytes(imagecodecs.zstd_encode(strip))
    palette = np.stack([RED, GREEN, BLUE])[:, : 2**bits]
    palette[0, -1] = 255
    tags = {
        256: 4,
        257: 4,
        258: bits,
        259: compression,
        262: 3,
        277: 1,
        278: 4,
        320: (palette * factor).ravel().tolist(),
    }
    image = decode(tiff([TiffPage(tags, [strip])]), max_pixels=64).convert("RGB")
    assert np.array_equal(np.asarray(image), palette.T[INDICES])
