"""No content of a request is repeated: not in answers, not in the debug log, not in the metrics.

The one exception are the names of unknown parameters, which `x-ignored-params` lists for the client that sent them.
"""

import base64
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest
from PIL.PngImagePlugin import PngInfo

from tests.support.image_files.dicom import ct
from tests.support.samples import encoded, picture, png, table
from tests.support.servers.server_process import PATIENCE_S, Server, started

SECRET = "Q7patientQ7"
KEY = "Q7keyQ7"
ROUTES = ("/embed", "/score", "/invocations", "/embed/image", "/embed/text", "/render")


def picture_of(name: str) -> bytes:
    """A picture whose metadata name the patient."""
    info = PngInfo()
    info.add_text("Comment", name)
    stream = io.BytesIO()
    picture(4).save(stream, "PNG", pnginfo=info)
    return stream.getvalue()


IMAGE = picture_of(SECRET)
DAMAGED = IMAGE[:-30]
PIXELS = np.arange(64, dtype=np.uint16).reshape(8, 8)
DICOM = ct(PIXELS, PatientName=SECRET, PatientID=SECRET, PatientBirthDate=SECRET, StudyDescription=SECRET)
BODIES: list[Any] = [
    table(["image", "text"], [[encoded(IMAGE), SECRET]]),
    table(["image"], [[encoded(IMAGE)]]),
    table(["text"], [[SECRET]]),
    {"texts": [SECRET]},
    {"texts": [SECRET, 7]},
    {SECRET: SECRET},
    [SECRET],
    SECRET,
    table([SECRET], [["a"]]),
    table(["text", SECRET], [["a", "b"]]),
    table(["text", "text"], [[SECRET, SECRET]]),
    table(["text"], [[SECRET, SECRET]]),
    table(["text"], [{"text": SECRET}]),
    table(["text"], [{SECRET: SECRET}]),
    table(["text"], [[{SECRET: SECRET}]]),
    table(["text"], [[SECRET + "\ud800"]]),
    table(["text"], [[SECRET * 20_000]]),
    table(["text"], [[SECRET]], index=[SECRET]),
    table(["text"], [[SECRET]], index=[SECRET, SECRET]),
    table(["text"], [[SECRET]], params=[SECRET]),
    table(["text"], [[SECRET]], params={"get_scaling_factor": SECRET}),
    table(["text"], [[SECRET]], params={"layout": SECRET}),
    table(["text"], [[SECRET]], params={"image_standardization_image_size": SECRET}),
    table(["image"], [[encoded(DICOM)]]),
    *(
        table(["image"], [[encoded(DICOM)]], params={name: SECRET})
        for name in ("frame", "frames", "axis", "dicom_window", "output_dtype", "encoding_format", "normalize")
    ),
    table(["image"], [[SECRET]]),
    table(["image"], [[f"data:{SECRET};base64,{encoded(IMAGE)}"]]),
    table(["image"], [[f"/data/{SECRET}.png"]]),
    table(["image"], [[f"https://127.0.0.1/{SECRET}.png"]]),
    table(["image"], [[f"https://{SECRET}.example/{SECRET}.png"]]),
    table(["image"], [[f"https://{SECRET}@127.0.0.1/"]]),
    table(["image"], [[encoded(SECRET.encode())]]),
    table(["image"], [[encoded(b"%PDF" + SECRET.encode())]]),
    table(["image"], [[encoded(DAMAGED)]]),
    table(["image"], [[encoded(png())], [encoded(DAMAGED)]]),
]
RAW = [
    ("application/json", SECRET.encode()),
    ("application/json", b'{"' + SECRET.encode()),
    (f"text/{SECRET}", SECRET.encode()),
    ("text/plain", SECRET.encode()),
    ("text/plain", SECRET.encode() + b"\xff"),
    ("image/png", IMAGE),
    ("image/png", DAMAGED),
    ("image/png", SECRET.encode()),
    ("application/octet-stream", b"<svg>" + SECRET.encode()),
    ("application/dicom", DICOM),
    ("application/dicom", DICOM[:-60]),
    ("application/dicom", ct(PIXELS, PatientName=SECRET, PixelData=None)),
    ("application/dicom", ct(PIXELS, PatientName=SECRET, SOPClassUID=f"1.2.{SECRET}", PixelData=None)),
    ("application/dicom", ct(PIXELS, PatientName=SECRET, PhotometricInterpretation=SECRET)),
    (f"multipart/form-data; boundary={SECRET}", SECRET.encode()),
]
# The secrets as plain text, in base64, and with the escapes of a URL.
HIDDEN = {SECRET, KEY, quote(SECRET), base64.b64encode(SECRET.encode())[2:-3].decode()}


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    settings = {"api_keys": f"{KEY},other", "log_level": "debug", "max_text_chars": 100_000, "offline": True}
    settings["url_allowlist"] = "127.0.0.1"
    with started("", **settings) as server:
        while httpx.get(f"{server.url}/health/ready").status_code != 200:
            pass
        yield server


def test_no_secret_comes_back(server: Server) -> None:
    answers: list[str] = []
    statuses: set[int] = set()
    headers = {
        "authorization": f"Bearer {KEY}",
        "user-agent": SECRET,
        "referer": SECRET,
        "cookie": f"a={SECRET}",
        "x-patient": SECRET,
        "x-request-timeout-ms": "60000",
    }
    with httpx.Client(base_url=server.url, timeout=PATIENCE_S, headers=headers) as client:

        def ask(method: str, path: str, **options: Any) -> None:
            answer = client.request(method, path, params={"name": SECRET}, **options)
            statuses.add(answer.status_code)
            answers.append(f"{answer.status_code} {dict(answer.headers)} {answer.text}")

        for path in ROUTES:
            for body in BODIES:
                content = json.dumps(body).encode()
                ask("POST", path, content=content, headers={"content-type": "application/json"})
            for kind, content in RAW:
                ask("POST", path, content=content, headers={"content-type": kind})
            for data in (IMAGE, DAMAGED):
                ask("POST", path, files={"files": (f"{SECRET}.png", data, f"image/{SECRET}")}, data={"note": SECRET})
            ask("GET", path)
            ask("POST", path, content=b"{}", headers={"x-request-timeout-ms": SECRET})
            ask("POST", path, content=b"{}", headers={"x-request-id": "a" * 101 + SECRET})
            ask("POST", path, content=b"{}", headers={"authorization": f"Bearer {SECRET}"})
            ask("POST", path, content=b"{}", headers={"authorization": SECRET})
        for path in (
            f"/{SECRET}",
            f"/embed/{SECRET}",
            "/docs",
            "/redoc",
            "/openapi.json",
            "/info",
            "/metrics",
            "/version",
        ):
            ask("GET", path)
    server.process.terminate()
    assert server.ended() == 0
    assert statuses >= {200, 400, 401, 403, 404, 405, 413, 415, 431}
    assert len(server.log) > len(answers)  # at least one line per answer
    for hidden in HIDDEN:
        assert [answer for answer in answers if hidden in answer] == []
        assert [line for line in server.log if hidden in line] == []
