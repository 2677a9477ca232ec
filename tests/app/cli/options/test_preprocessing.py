"""Flags of the preprocessing, which mean what the API's parameters of these names mean."""

from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from app.api.params import Params
from app.cli.main import main
from app.cli.options.preprocessing import preprocessing_options, take_preprocessing
from model.engine import EmbeddingEngine
from model.imaging.preprocessing import Preprocessing, Standardization
from model.imaging.rendering import PercentileWindow, Rendering
from tests.support.image_files.dicom import ct
from tests.support.samples import assert_close, image_vector
from tests.support.servers.serving import serving

SCAN = ct(np.random.default_rng(0).gamma(2, 300, (3, 40, 40)).astype(np.int16))
FLAGS = [
    *("--dicom-window", "p5-p95", "--contrast", "equalize", "--frame", "2", "--axis", "coronal"),
    *("--image-standardization-image-size", "64", "--image-standardization-jpeg-compression-ratio", "90"),
]
MEANT = Preprocessing(Standardization(64, 90), Rendering(2, "coronal", PercentileWindow(5, 95), "equalize"))


def taken(*flags: str) -> Preprocessing:
    """The preprocessing that a command takes from these flags."""
    found: list[Preprocessing] = []

    @click.command()
    @click.option("--other", default=7)
    @preprocessing_options
    def command(**given: Any) -> None:
        found.append(take_preprocessing(given))
        assert given == {"other": 7}

    command.main(list(flags), standalone_mode=False)
    return found[0]


def test_every_flag_has_its_part() -> None:
    assert taken(*FLAGS) == MEANT
    assert taken() == Preprocessing() == Params().preprocessing
    assert taken("--plain") == taken("--image-standardization-jpeg-compression-ratio", "0") == Preprocessing(None)


def test_flags_have_the_names_of_the_parameters() -> None:
    assert {flag[2:].replace("-", "_") for flag in FLAGS[::2]} == MEANT.params().keys()


@pytest.mark.parametrize(
    ("flags", "complaint"),
    [
        (["--dicom-window", "lungs"], "known names are .*percentiles such as p1-p99"),
        (["--dicom-window", "p99-p1"], "the percentiles must rise"),
        (["--contrast", "more"], "is not one of 'none', 'equalize'"),
        (["--frame", "-1"], "-1 is not in the range"),
        (["--image-standardization-image-size", "5000"], "4096"),
    ],
)
def test_a_wrong_value_is_a_usage_error(flags: list[str], complaint: str) -> None:
    with pytest.raises(click.BadParameter, match=complaint):
        taken(*flags)


def embedded(folder: Path, *flags: str) -> Any:
    """The vector of the file scan.dcm in a folder, by the command `embed`."""
    command = ["embed", str(folder / "scan.dcm"), "-o", str(folder / "out.npz"), "--cache-dir", str(folder / "cache")]
    result = CliRunner().invoke(main, [*command, *flags])
    assert result.exit_code == 0, result.output
    with np.load(folder / "out.npz") as stored:
        return stored["image_features"][0]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "scan.dcm").write_bytes(SCAN)
    return tmp_path


def test_another_preprocessing_is_not_taken_from_the_cache(
    folder: Path, small_release: Path, engine: EmbeddingEngine
) -> None:
    model = ("--model", str(small_release), "--device", "cpu")
    assert_close(embedded(folder, *model), image_vector(engine, SCAN))
    other = image_vector(engine, SCAN, MEANT.standardization, MEANT.rendering)
    assert_close(embedded(folder, *model, *FLAGS), other)
    assert_close(embedded(folder, *model), image_vector(engine, SCAN))
    assert float(other @ image_vector(engine, SCAN)) < 0.999


def test_a_server_is_asked_for_the_same_preprocessing(
    folder: Path, small_release: Path, engine: EmbeddingEngine
) -> None:
    with serving(small_release) as url:
        vector = embedded(folder, "--server", url, *FLAGS)
    assert_close(vector, image_vector(engine, SCAN, MEANT.standardization, MEANT.rendering))
