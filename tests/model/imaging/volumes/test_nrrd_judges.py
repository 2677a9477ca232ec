"""NRRD files of many kinds, compared with pynrrd and SimpleITK."""

import bz2
import gzip
import itertools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from model.imaging.rendering import Axis
from tests.model.imaging.volumes.judges import itk_values, pynrrd_values, summary, verdict
from tests.support.image_files.volumes import AXES, nrrd

SEED, FILES = 12, 300
TYPES = {
    "int8": "i1",
    "uchar": "u1",
    "short": "i2",
    "unsigned short": "u2",
    "int": "i4",
    "uint32": "u4",
    "long long": "i8",
    "uint64_t": "u8",
    "float": "f4",
    "double": "f8",
}
ENCODINGS = ("raw", "raw", "gzip", "gz", "gz of two members", "bzip2", "bz2 of two members")
SHAPES = {  # the last axis changes fastest
    "picture": (6, 7),
    "volume": (5, 6, 7),
    "one slice": (1, 6, 7),
    "series behind": (2, 5, 6, 7),
    "series before": (5, 6, 7, 2),
    "colours": (5, 6, 7, 3),
}
AROUND_SPACE = {"series behind": "{} list", "series before": "list {}", "colours": "RGB-color {}"}
SPACES = ("left-posterior-superior", "right-anterior-superior", "left-anterior-superior", "none")


@dataclass(frozen=True)
class Case:
    """One file of the matrix."""

    type: str
    order: str
    encoding: str
    layout: str
    space: str
    is_oblique: bool
    is_finite: bool
    axis: Axis
    frame: int | None
    seed: int


def cases() -> Iterator[Case]:
    """Each value of each property occurs, in random combinations."""
    chance = np.random.default_rng(SEED)
    types, layouts = itertools.cycle(TYPES), itertools.cycle([*SHAPES, "volume"])
    for seed in range(FILES):
        layout = next(layouts)
        space = "none" if layout == "picture" else SPACES[chance.integers(len(SPACES))]
        yield Case(
            "uchar" if layout == "colours" else next(types),
            ("little", "big")[chance.integers(2)],
            ENCODINGS[chance.integers(len(ENCODINGS))],
            layout,
            space,
            bool(chance.integers(2)),
            bool(chance.integers(2)),
            "axial" if space == "none" else AXES[chance.integers(3)],  # no other axis has an effect
            0 if chance.integers(2) else None,
            seed,
        )


def values_of(case: Case) -> Any:
    chance = np.random.default_rng(case.seed)
    kind, shape = np.dtype(TYPES[case.type]), SHAPES[case.layout]
    values: Any
    if kind.kind == "f":
        values = chance.normal(0, 1000, shape)
        if not case.is_finite:
            values.flat[chance.integers(values.size, size=3)] = (np.nan, np.inf, -np.inf)
    else:
        values = chance.integers(max(np.iinfo(kind).min, -(10**6)), min(np.iinfo(kind).max, 10**6), shape)
    return values.astype(kind.newbyteorder("<" if case.order == "little" else ">"))


def file_of(case: Case) -> bytes:
    values = values_of(case)
    fields = {"type": case.type, "endian": case.order, "encoding": case.encoding.split()[0]}
    around = AROUND_SPACE.get(case.layout, "{}")
    fields["kinds"] = around.format("domain domain" if case.layout == "picture" else "domain domain domain")
    if case.space != "none":
        around = around.replace("list", "none").replace("RGB-color", "none")
        fields |= {"space": case.space, "space_directions": around.format(directions_of(case))}
    return nrrd(values, packed(values.tobytes(), case.encoding), **fields)


def packed(payload: bytes, encoding: str) -> bytes:
    if encoding == "raw":
        return payload
    pack: Any = gzip.compress if encoding.startswith("g") else bz2.compress
    cut = len(payload) // 3
    whole: bytes = pack(payload[:cut]) + pack(payload[cut:]) if encoding.endswith("members") else pack(payload)
    return whole


def directions_of(case: Case) -> str:
    chance = np.random.default_rng(case.seed + 10**6)
    rotation = np.eye(3)[chance.permutation(3)] * chance.choice([-1, 1], 3)
    if case.is_oblique:
        rotation = nibabel.quaternions.angle_axis2mat(chance.uniform(-0.5, 0.5), chance.normal(size=3)) @ rotation
    vectors = (rotation * chance.uniform(0.5, 4, 3)).T
    return " ".join("({:.6f},{:.6f},{:.6f})".format(*vector) for vector in vectors)


@pytest.mark.parametrize(("judge", "values"), [("pynrrd", pynrrd_values), ("SimpleITK", itk_values)])
def test_pictures_are_those_of_other_software(judge: str, values: Any, tmp_path: Path) -> None:
    verdicts: Counter[str] = Counter()
    file = tmp_path / "image.nrrd"
    for case in cases():
        data = file_of(case)
        file.write_bytes(data)
        found = verdict(data, file, values, case.axis, case.frame)
        assert found not in ("different", "refused"), case
        verdicts[found] += 1
    print(summary(judge, verdicts))
    assert verdicts["equal"] >= 150
