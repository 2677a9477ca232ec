"""`embed`: files and texts into a file of vectors, equal to the engine's own."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from app.cli.commands import carry_out
from app.cli.main import main
from model.engine import EmbeddingEngine
from model.errors import CheckpointError
from tests.support.samples import assert_close, damaged, image_vector, picture, png, saved, text_vector
from tests.support.servers.serving import serving


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder of pictures: 0.png, a/1.jpg, a/b/2.TIF, and two that are none."""
    root = tmp_path / "scans"
    (root / "a" / "b").mkdir(parents=True)
    (root / "0.png").write_bytes(png())
    (root / "a" / "1.jpg").write_bytes(saved(picture(1), "JPEG"))
    (root / "a" / "b" / "2.TIF").write_bytes(saved(picture(2), "TIFF"))
    (root / "a" / "notes.txt").write_text("not an image, and not named as one")
    return root


@pytest.fixture
def spoiled(tree: Path) -> Path:
    (tree / "a" / "cut.png").write_bytes(damaged())
    (tree / "a" / "text.jpeg").write_text("Jane Doe")
    return tree


def embed(release: Path, output: Path, *arguments: str | Path) -> Result:
    command = ["embed", *map(str, arguments), "-o", str(output), "--model", str(release), "--device", "cpu"]
    return CliRunner().invoke(main, command, catch_exceptions=False)


def arrays(output: Path) -> dict[str, Any]:
    with np.load(output) as stored:
        return dict(stored)


def test_a_folder_tree_and_texts_into_npz(
    tree: Path, tmp_path: Path, small_release: Path, engine: EmbeddingEngine
) -> None:
    out = tmp_path / "out.npz"
    texts = ["x-ray chest normal", "Röntgen"]
    result = embed(small_release, out, tree, *(word for text in texts for word in ("--text", text)))
    assert result.exit_code == 0, result.output
    assert result.stdout == ""
    assert "out.npz: 3 images, 2 texts" in result.stderr
    stored = arrays(out)
    files = [tree / "0.png", tree / "a" / "1.jpg", tree / "a" / "b" / "2.TIF"]
    assert stored["image_paths"].tolist() == [str(file) for file in files]
    for file, vector in zip(files, stored["image_features"], strict=True):
        assert_close(vector, image_vector(engine, file.read_bytes()))
    assert stored["texts"].tolist() == texts
    for text, vector in zip(texts, stored["text_features"], strict=True):
        assert_close(vector, text_vector(engine, text))
    assert stored["logit_scale"] == np.float32(engine.logit_scale)
    assert stored["image_features"].dtype == stored["text_features"].dtype == np.float32


def test_the_same_into_parquet(tree: Path, tmp_path: Path, small_release: Path, engine: EmbeddingEngine) -> None:
    out = tmp_path / "out.parquet"
    assert embed(small_release, out, tree / "0.png", tree / "a", "--text", "a").exit_code == 0
    rows = pq.read_table(out).to_pylist()
    assert [(row["kind"], Path(row["source"]).name) for row in rows] == [
        ("image", "0.png"),
        ("image", "1.jpg"),
        ("image", "2.TIF"),
        ("text", "a"),
    ]
    assert_close(np.array(rows[0]["features"], np.float32), image_vector(engine, png()))
    assert_close(np.array(rows[3]["features"], np.float32), text_vector(engine, "a"))


def test_plain_skips_the_standardization(
    tree: Path, tmp_path: Path, small_release: Path, engine: EmbeddingEngine
) -> None:
    assert embed(small_release, tmp_path / "out.npz", tree / "0.png", "--plain").exit_code == 0
    assert_close(arrays(tmp_path / "out.npz")["image_features"][0], image_vector(engine, png(), None))


def test_unreadable_files_are_named_and_left_out(
    spoiled: Path, tmp_path: Path, small_release: Path, engine: EmbeddingEngine
) -> None:
    out = tmp_path / "out.npz"
    result = embed(small_release, out, spoiled, "--max-batch-size", "2")
    assert result.exit_code == 0
    assert f"left out {spoiled}/a/cut.png: the PNG image is damaged or cut short" in result.output
    assert f"left out {spoiled}/a/text.jpeg: the image cannot be read as any of" in result.output
    assert "3 images, 2 left out, 0 texts" in result.stderr
    stored = arrays(out)
    assert [Path(path).name for path in stored["image_paths"]] == ["0.png", "1.jpg", "2.TIF"]
    assert_close(stored["image_features"][2], image_vector(engine, saved(picture(2), "TIFF")))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that cannot be read by anyone")
def test_a_file_that_the_system_does_not_give_is_left_out_too(tree: Path, tmp_path: Path, small_release: Path) -> None:
    result = embed(small_release, tmp_path / "out.npz", "/proc/self/mem", tree / "0.png")
    assert result.exit_code == 0
    assert "left out /proc/self/mem: the file cannot be read (" in result.output
    assert len(arrays(tmp_path / "out.npz")["image_paths"]) == 1


def test_strict_stops_at_the_first_unreadable_file(spoiled: Path, tmp_path: Path, small_release: Path) -> None:
    result = embed(small_release, tmp_path / "out.npz", spoiled, "--strict")
    assert result.exit_code == 2
    assert f"medimageinsight: {spoiled}/a/cut.png: the PNG image is damaged or cut short\n" in result.stderr
    assert not (tmp_path / "out.npz").exists()


def test_only_unreadable_files_make_an_empty_file(spoiled: Path, tmp_path: Path, small_release: Path) -> None:
    result = embed(small_release, tmp_path / "out.npz", spoiled / "a" / "cut.png")
    assert result.exit_code == 0
    assert "0 images, 1 left out" in result.stderr
    assert list(arrays(tmp_path / "out.npz")) == ["logit_scale"]


def test_texts_alone(tmp_path: Path, small_release: Path, engine: EmbeddingEngine) -> None:
    assert embed(small_release, tmp_path / "out.npz", "--text", "a").exit_code == 0
    stored = arrays(tmp_path / "out.npz")
    assert stored.keys() == {"texts", "text_features", "logit_scale"}
    assert_close(stored["text_features"][0], text_vector(engine, "a"))


def test_a_text_that_is_no_unicode_is_a_sentence(tmp_path: Path, small_release: Path) -> None:
    result = embed(small_release, tmp_path / "out.npz", "--text", "\udcff")
    assert result.exit_code == 2
    assert "half of a surrogate pair" in result.stderr


def test_many_files_in_small_batches(tmp_path: Path, small_release: Path, engine: EmbeddingEngine) -> None:
    for number in range(11):
        (tmp_path / f"{number:02}.png").write_bytes(png(number))
    result = embed(small_release, tmp_path / "out.npz", tmp_path, "--max-batch-size", "3", "--decode-threads", "2")
    assert result.exit_code == 0
    stored = arrays(tmp_path / "out.npz")
    assert [Path(path).name for path in stored["image_paths"]] == [f"{number:02}.png" for number in range(11)]
    for number in (0, 5, 10):
        assert_close(stored["image_features"][number], image_vector(engine, png(number)))


def test_parquet_without_pyarrow_is_told_before_anything_is_computed(
    tmp_path: Path, small_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = embed(Path("/nowhere/at/all"), tmp_path / "out.parquet", "--text", "a")
    assert result.exit_code == 2
    assert "install medimageinsight-server[parquet]" in result.stderr


def test_a_server_may_do_the_work(tree: Path, small_release: Path, engine: EmbeddingEngine, tmp_path: Path) -> None:
    output = tmp_path / "out.npz"
    with serving(small_release, api_keys="key") as url:
        command = ["embed", str(tree), "--text", "mri", "-o", str(output), "--server", url]
        done = CliRunner(env={"MEDIMAGEINSIGHT_API_KEY": "key"}).invoke(main, command, catch_exceptions=False)
        refused = CliRunner().invoke(main, command)
        damaged_file = tree / "cut.png"
        damaged_file.write_bytes(damaged())
        bad = CliRunner().invoke(main, [*command, "--api-key", "key"])
    gone = CliRunner().invoke(main, ["embed", "--text", "mri", "-o", str(output), "--server", "http://127.0.0.1:1"])
    assert done.exit_code == 0, done.output
    with np.load(output) as arrays:
        assert [Path(path).name for path in arrays["image_paths"]] == ["0.png", "1.jpg", "2.TIF"]
        assert_close(arrays["image_features"][0], image_vector(engine, png()))
        assert_close(arrays["text_features"][0], text_vector(engine, "mri"))
    assert (refused.exit_code, "A key is needed" in refused.output) == (2, True)
    assert (bad.exit_code, f"{damaged_file}: item" in bad.output) == (2, True)
    assert (gone.exit_code, "no server answers at http://127.0.0.1:1" in gone.output) == (2, True)


def test_a_downloaded_model_is_carried_out_with_checksums(small_release: Path, tmp_path: Path) -> None:
    folder = carry_out(small_release, tmp_path / "usb" / "model")
    done = subprocess.run(
        ["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=folder, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count(": OK") == len([path for path in small_release.rglob("*") if path.is_file()])
    assert not any(path.is_symlink() for path in folder.rglob("*"))
    with serving(folder, offline=True) as url:
        assert httpx.get(f"{url}/health/ready").status_code == 200


def test_only_an_empty_folder_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("kept")
    done = CliRunner().invoke(main, ["download", "owner/name", "--to", str(tmp_path)])
    assert (done.exit_code, "has something in it already" in done.output) == (2, True)
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckpointError, match="cannot be written"):
        carry_out(tmp_path, tmp_path / "file" / "model")
