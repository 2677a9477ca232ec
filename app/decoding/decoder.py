"""What is done with one image, in a worker process or in a thread. This module needs neither torch nor HTTP."""

import hashlib
from dataclasses import dataclass
from typing import Literal, Protocol

from model.imaging.base64_images import decode_base64
from model.imaging.formats import ImageFile
from model.imaging.images import open_image
from model.imaging.preprocessing import Standardization, preprocess
from model.imaging.rendered_png import encode_png
from model.imaging.rendering import AS_STORED, Rendering

Payload = bytes | str
"""The bytes of an image file, or their base64."""


@dataclass(frozen=True)
class Task:
    """What is asked about one image.

    Args:
        kind: "check" reads the header; "count" counts the frames; "pixels" makes the encoder's input; "picture" makes a
            PNG file of what the encoder gets before its resize.
        max_pixels: limit for one picture.
        rendering: which picture of the file, and its window.
        standardization: the first step of the preprocessing; None skips it.
        image_size: height and width of the encoder's input in pixels, for "pixels".
        keep_open: whether the file stays open for the next task.
    """

    kind: Literal["check", "count", "pixels", "picture"]
    max_pixels: int
    rendering: Rendering = AS_STORED
    standardization: Standardization | None = None
    image_size: tuple[int, int] = (0, 0)
    keep_open: bool = False


@dataclass(frozen=True)
class Reply:
    """The answer to a task; what the task does not ask for has its default.

    Args:
        data: the encoder's input (H, W, 3) uint8 as bytes, or a PNG file.
        frame_count: number of frames of the file.
        inflates: whether the open file holds an inflated copy.
        picture_pixels: pixels of the decoded picture before its resize.
        digest: hash of `data`, by which equal images are found.
    """

    data: bytes = b""
    frame_count: int = 0
    inflates: bool = False
    picture_pixels: int = 0
    digest: str = ""


class PerformsTasks(Protocol):
    """A `Decoder`, or what a test puts in its place."""

    def perform(self, task: Task, payload: Payload | None) -> Reply: ...
    def forget(self) -> None: ...


class Decoder:
    """Performs one task after the other, and can keep one file open between them."""

    def __init__(self) -> None:
        self._kept: ImageFile | None = None

    def perform(self, task: Task, payload: Payload | None) -> Reply:
        """Perform a task.

        Args:
            task: what is asked.
            payload: the image; None takes the file that was kept open.

        Raises:
            InvalidInput: the image is damaged, too large, or in a format that is not accepted.
        """
        file = self._open(task, payload)
        reply = _reply(file, task)
        if task.keep_open:
            self._kept = file
        return reply

    def forget(self) -> None:
        """Close the file that was kept open."""
        self._kept = None

    def _open(self, task: Task, payload: Payload | None) -> ImageFile:
        if payload is None:
            if self._kept is None:
                raise RuntimeError("no file is kept open")
            return self._kept
        if task.keep_open:
            self._kept = None  # two files may need more memory than there is
        data = decode_base64(payload) if isinstance(payload, str) else payload
        return open_image(data, max_pixels=task.max_pixels)


def _reply(file: ImageFile, task: Task) -> Reply:
    if task.kind == "check":
        file.check(task.rendering)
        return Reply()
    if task.kind == "count":
        return Reply(frame_count=file.frame_count(task.rendering), inflates=file.inflates)
    frame_count = file.frame_count(task.rendering) if task.kind == "picture" else 0
    picture = file.decode(task.rendering)
    size = picture.width * picture.height
    if task.kind == "picture":
        return Reply(encode_png(picture, task.standardization), frame_count, file.inflates, size)
    data = preprocess(picture, task.image_size, task.standardization).tobytes()
    return Reply(data, frame_count, file.inflates, size, hashlib.blake2b(data).hexdigest())
