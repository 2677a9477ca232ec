"""Bodies of the soak that are refused or hostile. All are made before the soak, because some take a second."""

import gzip
import json
import random
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from tqdm import tqdm

from tests.benchmarks.support import inputs
from tests.support.image_files.bombs.corpus import BOMBS
from tests.support.image_files.bombs.documents import DOCUMENTS
from tests.support.image_files.hostile_corpus import malformed
from tests.support.image_files.reported_files import FILES
from tests.support.samples import encoded, table

MIB = 2**20
JSON = {"content-type": "application/json"}
MALFORMED = 400
ROUTES = ("/embed/image", "/embed/image", "/render", "/embed")
PARAMETERS: dict[str, tuple[Any, ...]] = {
    "frames": ("all",),
    "frame": (0, 1, 7, 10_000, -1),
    "axis": ("axial", "coronal", "sagittal", "diagonal"),
    "dicom_window": ("lung", "40,80", "-600,1500", "0,0", "nothing"),
    "image_standardization_jpeg_compression_ratio": (0, 1, 75, 95, 101),
    "image_standardization_image_size": (32, 512, 1024, 0),
    "normalize": ("false",),
    "output_dtype": ("int8", "binary", "float16"),
}


@dataclass(frozen=True)
class Request:
    """A request.

    Args:
        path: with the query.
        keyed: False sends it without the API key.
        expected: statuses of a right answer.
    """

    path: str
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    keyed: bool = True
    expected: tuple[int, ...] = (200, 400, 413, 415)


@dataclass(frozen=True)
class Corpus:
    """Refused and hostile requests.

    Args:
        max_body_bytes: limit of the server.
        max_rows: limit of the server.
    """

    max_body_bytes: int
    max_rows: int

    def prepare(self) -> None:
        """Make everything that takes time."""
        for _ in (self._files, self._posts, self._bomb):
            pass

    def hostile(self, chance: random.Random) -> Request:
        """A hostile or damaged file with up to three parameters, right and wrong ones, or a damaged request."""
        if chance.random() < 0.2:
            post = chance.choice(self._posts)
            return Request(post.path, post.body, {"content-type": post.content_type})
        if chance.random() < 0.05:
            return Request("/invocations", chance.choice(list(DOCUMENTS.values())), JSON)
        data, path = chance.choice(self._files), chance.choice(ROUTES)
        names = chance.sample(list(PARAMETERS), chance.randrange(4))
        parameters = {name: chance.choice(PARAMETERS[name]) for name in names}
        if path == "/embed":
            return Request(path, json.dumps(table(["image"], [[encoded(data)]], params=parameters)).encode(), JSON)
        query = "&".join(f"{name}={value}" for name, value in parameters.items())
        return Request(f"{path}?{query}", data, {"content-type": "application/octet-stream"})

    def refused(self, chance: random.Random) -> Request:
        """A body of some MB that the server refuses early, or after it has read it."""
        noise = chance.randbytes(chance.randrange(1, 5) * MIB)
        packed = JSON | {"content-encoding": "gzip"}
        return chance.choice([
            Request("/embed/image", noise, keyed=False, expected=(401,)),
            Request("/embed", noise, {"content-type": "application/x-unknown"}, expected=(415,)),
            Request("/embed/image", bytes(self.max_body_bytes + MIB), expected=(413,)),
            Request("/embed", b'{"input_data": [' + b"[1]," * (len(noise) // 4), JSON, expected=(400, 413)),
            Request("/embed", self._bomb, packed, expected=(400, 413)),
            Request("/embed", b"\x1f\x8b\x08\x00" + noise, packed, expected=(400, 413)),
            Request("/embed/text", self._many_texts(chance), JSON, expected=(200, 429)),
            Request("/embed/image", noise, {"connection": "close"}, keyed=False, expected=(401,)),
        ])  # fmt: skip

    def _many_texts(self, chance: random.Random) -> bytes:
        """As many rows as are allowed, which are as many as the queue holds."""
        labels = chance.sample(inputs.labels(20_000), self.max_rows)
        return json.dumps({"texts": [(label + " ") * 100 for label in labels]}).encode()

    @cached_property
    def _files(self) -> list[bytes]:
        bombs = tqdm(BOMBS.values(), desc="making hostile files", leave=False)
        return [*(path.read_bytes() for path in FILES.values()), *(make() for make in bombs)]

    @cached_property
    def _posts(self) -> list[Any]:
        return list(malformed(MALFORMED, seed=12))

    @cached_property
    def _bomb(self) -> bytes:
        return gzip.compress(b'{"input_data": "' + b" " * (20 * self.max_body_bytes) + b'"}', 9)
