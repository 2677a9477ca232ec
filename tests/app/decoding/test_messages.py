"""Tasks and replies on their way between the service and a worker."""

import json

import pytest

from app.decoding.decoder import Payload, Reply, Task
from app.decoding.messages import SIZES, read_reply, read_task, refusal_header, reply_header, task_message
from model.errors import ImageDecodeError, ImageTooLarge
from model.imaging.preprocessing import Standardization
from model.imaging.rendering import Rendering, Window


@pytest.mark.parametrize(
    ("task", "payload"),
    [
        (Task("check", 100), b"\0\xff"),
        (Task("count", 100, Rendering(axis="coronal"), keep_open=True), "YWJj\ud800"),
        (Task("pixels", 7, Rendering(3, window=Window(-600.5, 1500)), Standardization(64, 90), (480, 512)), None),
    ],
    ids=["bytes", "base64", "the kept file"],
)
def test_a_task_arrives_as_it_was_sent(task: Task, payload: Payload | None) -> None:
    message, body = task_message(task, payload)
    header_size, body_size = SIZES.unpack(message[: SIZES.size])
    assert (header_size, body_size) == (len(message) - SIZES.size, len(body))
    assert read_task(json.loads(message[SIZES.size :]), body) == (task, payload)


def test_a_reply_arrives_as_it_was_sent() -> None:
    reply = Reply(b"pixels", 5, True, 6, "digest")
    header = json.loads(json.dumps(reply_header(reply, ["a line"])))
    assert read_reply(header, b"pixels") == reply
    assert header["log"] == ["a line"]


def test_a_refusal_is_raised_as_its_own_class() -> None:
    with pytest.raises(ImageTooLarge, match="it is huge"):
        read_reply(refusal_header(ImageTooLarge("it is huge"), []), b"")


@pytest.mark.parametrize("name", ["SystemExit", "MedImageInsightError", "annotations", "__builtins__"])
def test_a_worker_cannot_choose_what_the_service_raises(name: str) -> None:
    with pytest.raises(ImageDecodeError):
        read_reply({"error": name, "message": "", "log": []}, b"")
