"""Compressions of TIFF files: their numbers, their names, and which library reads them."""

UNCOMPRESSED, OLD_STYLE_JPEG, JPEG, DEFLATE = 1, 6, 7, 8
# The numbers are those of TIFF 6.0, of its supplements, and of libtiff's register.
NAMES = {
    UNCOMPRESSED: "none",
    2: "CCITT RLE",
    3: "CCITT Group 3",
    4: "CCITT Group 4",
    5: "LZW",
    OLD_STYLE_JPEG: "old-style JPEG",
    JPEG: "JPEG",
    DEFLATE: "deflate",
    9: "JBIG",
    10: "JBIG",
    22610: "JPEG XR",
    32766: "NeXT",
    32773: "PackBits",
    32809: "ThunderScan",
    32909: "PixarLog",
    32946: "deflate",
    33003: "JPEG 2000",
    33004: "JPEG 2000",
    33005: "JPEG 2000",
    33007: "JPEG",
    34661: "JBIG",
    34676: "SGI LogLuv",
    34677: "SGI LogLuv",
    34712: "JPEG 2000",
    34887: "LERC",
    34892: "lossy JPEG",
    34925: "LZMA",
    34926: "Zstandard",
    34927: "WebP",
    34933: "PNG",
    34934: "JPEG XR",
    50000: "Zstandard",
    50001: "WebP",
    50002: "JPEG XL",
    50013: "deflate",
    52546: "JPEG XL",
}
PILLOW = frozenset({UNCOMPRESSED, 2, 3, 4, 5, OLD_STYLE_JPEG, JPEG, DEFLATE, 32773, 32809, 32946, 34925, 50000})
# The predictor (section 14) belongs to these; libtiff ignores it elsewhere.
WITH_PREDICTOR = frozenset({5, DEFLATE, 32946, 34925, 34926, 50000, 50013})
WITHOUT_PREDICTOR = frozenset({2, 3, 4, 32773, 34887})  # tifffile writes it with the last two, libtiff ignores it
YCBCR_JPEG_2000 = 33003  # Aperio: the codestream has YCbCr and does not say so
JPEGS = frozenset({JPEG, 33007, 34892})
JPEG_2000 = frozenset({33003, 33004, 33005, 34712})
LERC, PNG = frozenset({34887}), frozenset({34933})
WEBP = frozenset({34927, 50001})
# Not JPEG XL: its header does not bound its frames, nor its channels.
CODESTREAMS = JPEGS | JPEG_2000 | LERC | PNG | WEBP  # each tile is a picture with a header of its own
TIFFFILE = CODESTREAMS | WITH_PREDICTOR | {UNCOMPRESSED, 2, 3, 4, 32773}


def name(compression: int) -> str:
    """The name of a compression for error messages."""
    return NAMES.get(compression, "with an unknown number")
