"""Malformed inputs: valid images and requests with random damage. The same seed gives the same inputs."""

import bz2
import gzip
import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache

import nibabel
import numpy as np
from PIL import Image

from tests.support.image_files.dicom import PYDICOM_FILES
from tests.support.image_files.reported_files import FILES
from tests.support.image_files.volumes import COLOURS, HEAD, nrrd
from tests.support.samples import TEXT, encoded, picture, png, saved, table

BOUNDARY = "b0undary"
MAX_FILE_BYTES = 40_000
LENGTHS = (b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\x00\x00\x00\x00", b"\x80\x00\x00\x00", b"\xff\xff")


@dataclass(frozen=True)
class Post:
    """A request that may be malformed."""

    path: str
    content_type: str
    body: bytes


@cache
def image_files() -> tuple[bytes, ...]:
    """At least one small file of every format, mode and kind of fault report that is accepted."""
    colour = picture(1, (24, 20))
    modes = {mode: colour.convert(mode) for mode in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "F")}
    deep = Image.frombytes("I;16", (24, 20), bytes(range(240)) * 4)
    volume = nibabel.Nifti1Image(np.arange(1000, dtype=np.int16).reshape(10, 10, 10), np.eye(4)).to_bytes()
    frames = [picture(seed, (24, 20)).convert("P") for seed in range(3)]
    return (
        *(saved(modes[mode]) for mode in ("1", "L", "LA", "P", "RGB", "RGBA")),
        saved(deep),
        *(saved(modes[mode], "JPEG") for mode in ("L", "RGB", "CMYK")),
        saved(colour, "JPEG", progressive=True),
        *(saved(modes[mode], "TIFF") for mode in ("1", "L", "RGB", "F")),
        saved(deep, "TIFF"),
        *(saved(colour, "TIFF", compression=kind) for kind in ("tiff_lzw", "tiff_deflate", "jpeg")),
        saved(colour, "TIFF", save_all=True, append_images=frames),
        *(saved(modes[mode], "BMP") for mode in ("1", "L", "P", "RGB")),
        saved(modes["P"], "GIF"),
        saved(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        *(saved(modes[mode], "WEBP", lossless=lossless) for mode in ("RGB", "RGBA") for lossless in (False, True)),
        *(saved(modes[mode], "JPEG2000") for mode in ("L", "RGBA")),
        saved(deep, "JPEG2000"),
        *(path.read_bytes() for path in PYDICOM_FILES if path.stat().st_size < MAX_FILE_BYTES),
        *(path.read_bytes() for path in FILES.values() if path.stat().st_size < MAX_FILE_BYTES),
        volume,
        gzip.compress(volume),
        nrrd(HEAD, space="LPS", space_directions="(1,0,0) (0,1,0) (0,0,1)"),
        nrrd(HEAD, gzip.compress(HEAD.tobytes()), encoding="gzip"),
        nrrd(HEAD, bz2.compress(HEAD.tobytes()), encoding="bzip2"),
        nrrd(COLOURS, kinds="RGB-color domain domain domain"),
    )


def requests() -> list[Post]:
    """One valid request of every kind."""
    image, other = png(1), saved(picture(2), "JPEG")
    part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'.encode()
    form = b"".join([part, image, b"\r\n", part, other, f"\r\n--{BOUNDARY}--\r\n".encode()])
    mixed = table(["image", "text"], [[encoded(image), TEXT], ["", "a"]], index=[0, 1], params={"layout": "rows"})
    texts = table(["text"], [[TEXT], ["\u00e9\u4e2d\U0001f600"]])
    uri = table(["image"], [["data:image/png;base64," + encoded(image)]])
    return [
        Post("/embed", "application/json", json.dumps(mixed).encode()),
        Post("/embed", "application/json", json.dumps(texts).encode()),
        Post("/embed/image", "application/json", json.dumps(uri).encode()),
        Post("/embed/image", f"multipart/form-data; boundary={BOUNDARY}", form),
        Post("/embed/text", "application/json", json.dumps({"texts": [TEXT, "b"]}, ensure_ascii=False).encode()),
        Post("/embed/text", "text/plain", TEXT.encode()),
    ]


def malformed(count: int, seed: int) -> Iterator[Post]:
    """Yield `count` posts: damaged image files, damaged images in base64, and damaged requests, in turn."""
    chance = random.Random(seed)
    images, posts = image_files(), requests()
    for number in range(count):
        if number % 3 == 2:
            post = posts[number // 3 % len(posts)]
            yield Post(post.path, post.content_type, damaged(post.body, chance))
            continue
        data = damaged(images[number % len(images)], chance)
        if number % 3:
            yield Post("/embed", "application/json", json.dumps(table(["image"], [[encoded(data)]])).encode())
        else:
            yield Post("/embed/image", "image/png", data)


def damaged(data: bytes, chance: random.Random) -> bytes:
    """Some bytes with one of `DAMAGES`."""
    return chance.choice(DAMAGES)(data, chance)


def _flip(data: bytes, chance: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice([1, 2, 8, 64])):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _flip_early(data: bytes, chance: random.Random) -> bytes:
    """Damage only the first 64 bytes: headers contain the sizes."""
    return _flip(data[:64], chance) + data[64:]


def _cut(data: bytes, chance: random.Random) -> bytes:
    return data[: chance.randrange(1, len(data))]


def _leave_out(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + data[start + chance.choice([1, 4, 32]) :]


def _splice(data: bytes, chance: random.Random) -> bytes:
    other = chance.choice(image_files())
    return data[: chance.randrange(1, len(data))] + other[chance.randrange(len(other)) :]


def _repeat(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + data[start : start + 40] * 50 + data[start:]


def _set_length(data: bytes, chance: random.Random) -> bytes:
    start, length = chance.randrange(min(len(data), 200)), chance.choice(LENGTHS)
    return data[:start] + length + data[start + len(length) :]


def _insert_noise(data: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(data))
    return data[:start] + chance.randbytes(chance.choice([1, 16, 256])) + data[start:]


DAMAGES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip,
    _flip_early,
    _cut,
    _leave_out,
    _splice,
    _repeat,
    _set_length,
    _insert_noise,
)
