"""What a decoder does with one image."""

import base64
import hashlib
import io

import numpy as np
import pytest
from PIL import Image

from app.decoding.decoder import Decoder, Task
from model.errors import ImageDecodeError, ImageTooLarge
from model.imaging.images import decode
from model.imaging.preprocessing import Standardization, preprocess
from model.imaging.rendering import Rendering
from tests.support.samples import png

MAX_PIXELS = 100_000
IMAGE = png(1)


def tiff_of_pages(*greys: int) -> bytes:
    stream = io.BytesIO()
    pages = [Image.new("L", (2, 3), grey) for grey in greys]
    pages[0].save(stream, "TIFF", save_all=True, append_images=pages[1:])
    return stream.getvalue()


@pytest.mark.parametrize("standardization", [None, Standardization(size=32)], ids=["plain", "standardised"])
def test_pixels_are_the_input_of_the_encoder(standardization: Standardization | None) -> None:
    task = Task("pixels", MAX_PIXELS, standardization=standardization, image_size=(8, 9))
    expected = preprocess(decode(IMAGE, max_pixels=MAX_PIXELS), (8, 9), standardization).tobytes()
    for payload in (IMAGE, base64.b64encode(IMAGE).decode()):
        reply = Decoder().perform(task, payload)
        assert reply.data == expected
        assert reply.digest == hashlib.blake2b(expected).hexdigest()


def test_a_picture_is_a_png_file_and_knows_its_number_of_frames() -> None:
    reply = Decoder().perform(Task("picture", MAX_PIXELS, Rendering(frame=1)), tiff_of_pages(10, 20, 30))
    picture = Image.open(io.BytesIO(reply.data))
    assert (picture.format, picture.size, picture.getpixel((0, 0)), reply.frame_count) == ("PNG", (2, 3), 20, 3)


def test_a_check_reads_the_header_only() -> None:
    broken = IMAGE[:60]
    Decoder().perform(Task("check", MAX_PIXELS), broken)
    with pytest.raises(ImageDecodeError):
        Decoder().perform(Task("pixels", MAX_PIXELS, image_size=(8, 8)), broken)
    with pytest.raises(ImageTooLarge):
        Decoder().perform(Task("check", max_pixels=10), IMAGE)


def test_a_file_that_is_kept_open_is_not_sent_again() -> None:
    decoder = Decoder()
    assert decoder.perform(Task("count", MAX_PIXELS, keep_open=True), tiff_of_pages(10, 20)).frame_count == 2
    pixels = [
        decoder.perform(Task("pixels", MAX_PIXELS, Rendering(frame), None, (1, 1), keep_open=True), None)
        for frame in (0, 1)
    ]
    assert [list(reply.data) for reply in pixels] == [[10] * 3, [20] * 3]
    assert pixels[0].picture_pixels == 6
    decoder.perform(Task("check", MAX_PIXELS), IMAGE)  # leaves the file open
    decoder.perform(Task("check", MAX_PIXELS, keep_open=True), None)
    decoder.forget()
    with pytest.raises(RuntimeError, match="no file is kept open"):
        decoder.perform(Task("check", MAX_PIXELS), None)


def test_a_file_that_is_refused_is_not_kept_open() -> None:
    decoder = Decoder()
    decoder.perform(Task("count", MAX_PIXELS, keep_open=True), tiff_of_pages(10))
    with pytest.raises(ImageDecodeError):
        decoder.perform(Task("pixels", MAX_PIXELS, Rendering(5), None, (1, 1), keep_open=True), tiff_of_pages(20))
    with pytest.raises(RuntimeError, match="no file is kept open"):
        decoder.perform(Task("check", MAX_PIXELS), None)


def test_base64_that_is_none_is_refused() -> None:
    with pytest.raises(ImageDecodeError, match="not valid base64"):
        Decoder().perform(Task("check", MAX_PIXELS), "no base64 \ud800")


def test_every_pixel_counts_for_the_digest() -> None:
    task = Task("pixels", MAX_PIXELS, image_size=(4, 4))
    digests = [Decoder().perform(task, png(seed)).digest for seed in (1, 1, 2)]
    assert digests[0] == digests[1] != digests[2]
    assert np.frombuffer(Decoder().perform(task, IMAGE).data, np.uint8).shape == (48,)
