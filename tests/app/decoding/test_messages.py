"""Tasks and replies on their way between the service and a worker."""

import json
import math
from typing import Any

import pytest

from app.decoding.decoder import Payload, Reply, Task
from app.decoding.messages import SIZES, read_reply, read_task, refusal_header, reply_header, task_message
from model.errors import ImageDecodeError, ImageTooLarge
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import PercentileWindow, Rendering, Window

PIXELS = Task("pixels", 100, image_size=(1, 2))


@pytest.mark.parametrize(
    ("task", "payload"),
    [
        (Task("check", 100), b"\0\xff"),
        (Task("count", 100, Rendering(axis="coronal"), keep_open=True), "YWJj\ud800"),
        (Task("pixels", 7, Rendering(3, window=Window(-600.5, 1500)), Standardization(64, 90), (480, 512)), None),
        (Task("picture", 7, Rendering(window=PercentileWindow(1, 99), contrast="equalize")), b"file"),
    ],
    ids=["bytes", "base64", "the kept file", "percentiles and contrast"],
)
def test_a_task_arrives_as_it_was_sent(task: Task, payload: Payload | None) -> None:
    message, body = task_message(task, payload)
    header_size, body_size = SIZES.unpack(message[: SIZES.size])
    assert (header_size, body_size) == (len(message) - SIZES.size, len(body))
    assert read_task(json.loads(message[SIZES.size :]), body) == (task, payload)


def test_a_reply_arrives_as_it_was_sent() -> None:
    reply = Reply(b"pixels", 5, True, 6, "digest")
    header = json.loads(json.dumps(reply_header(reply, ["a line"])))
    assert read_reply(header, b"pixels", PIXELS) == (reply, ["a line"])


def test_a_refusal_is_raised_as_its_own_class() -> None:
    refusal, _ = read_reply(refusal_header(ImageTooLarge("it is huge"), []), b"", PIXELS)
    assert (type(refusal), str(refusal)) == (ImageTooLarge, "it is huge")


@pytest.mark.parametrize("name", ["SystemExit", "MedImageInsightError", "annotations", "__builtins__"])
def test_a_worker_cannot_choose_what_the_service_raises(name: str) -> None:
    refusal, _ = read_reply({"error": name, "message": "", "log": []}, b"", PIXELS)
    assert type(refusal) is ImageDecodeError


@pytest.mark.parametrize(
    ("header", "data"),
    [
        ([], b""),
        ({}, b"pixels"),
        ({"log": 7}, b"pixels"),
        ({"log": [], "frame_count": 1}, b"pixels"),
        (reply_header(Reply(), []), b"too short"),
        (reply_header(Reply(), []) | {"frame_count": "many"}, b"pixels"),
        (reply_header(Reply(), []) | {"frame_count": math.inf}, b"pixels"),
    ],
)
def test_what_is_no_reply_is_no_reply(header: Any, data: bytes) -> None:
    with pytest.raises((ArithmeticError, LookupError, TypeError, ValueError)):
        read_reply(header, data, PIXELS)
