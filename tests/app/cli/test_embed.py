"""The command `embed`: files and texts into one file of embeddings, equal to those of the engine or the server."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner, Result

from app.cli.main import main
from model.checkpoints.release_folder import find_release_folder
from model.config import read_config
from model.data.embeddings_file import read_embeddings
from model.engine import EmbeddingEngine
from model.imaging.preprocessing import Preprocessing, Standardization
from tests.support.samples import assert_close, damaged, image_vector, picture, png, saved, text_vector
from tests.support.servers.serving import serving

KEY = "key"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A folder with the images 0.png, a/1.jpg and a/b/2.TIF, and a text file."""
    root = tmp_path / "scans"
    (root / "a" / "b").mkdir(parents=True)
    (root / "0.png").write_bytes(png())
    (root / "a" / "1.jpg").write_bytes(saved(picture(1), "JPEG"))
    (root / "a" / "b" / "2.TIF").write_bytes(saved(picture(2), "TIFF"))
    (root / "a" / "notes.txt").write_text("not an image, and not named as one")
    return root


@pytest.fixture
def spoiled(tree: Path) -> Path:
    """The folder `tree` with two unreadable files that have the suffix of an image."""
    (tree / "a" / "cut.png").write_bytes(damaged())
    (tree / "a" / "text.jpeg").write_text("Jane Doe")
    return tree


def embed(release: Path, output: Path, *arguments: str | Path) -> Result:
    """Embed with the model in this process; the cache is in the folder of the output."""
    command = ["embed", *map(str, arguments), "-o", str(output), "--cache-dir", str(output.parent / "cache")]
    command += ["--model", str(release), "--device", "cpu"]
    return CliRunner().invoke(main, command, catch_exceptions=False)


def embed_with(url: str, output: Path, *arguments: str | Path) -> Result:
    """Embed with a server; the cache is in the folder of the output."""
    command = ["embed", *map(str, arguments), "-o", str(output), "--cache-dir", str(output.parent / "cache")]
    runner = CliRunner(env={"MEDIMAGEINSIGHT_API_KEY": KEY})
    return runner.invoke(main, [*command, "--server", url], catch_exceptions=False)


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
    assert result.exit_code == 1
    assert f"left out {spoiled}/a/cut.png: the PNG image is " in result.stderr
    assert f"left out {spoiled}/a/text.jpeg: the image cannot be read as any of" in result.stderr
    assert "3 images, 2 left out, 0 texts" in result.stderr
    stored = arrays(out)
    assert [Path(path).name for path in stored["image_paths"]] == ["0.png", "1.jpg", "2.TIF"]
    assert_close(stored["image_features"][2], image_vector(engine, saved(picture(2), "TIFF")))


@pytest.mark.skipif(sys.platform != "linux", reason="needs a file that cannot be read by anyone")
def test_a_file_that_the_system_does_not_give_is_left_out_too(tree: Path, tmp_path: Path, small_release: Path) -> None:
    result = embed(small_release, tmp_path / "out.npz", "/proc/self/mem", tree / "0.png")
    assert result.exit_code == 1
    assert "left out /proc/self/mem: the file cannot be read: " in result.output
    assert len(arrays(tmp_path / "out.npz")["image_paths"]) == 1


def test_strict_stops_at_the_first_unreadable_file(spoiled: Path, tmp_path: Path, small_release: Path) -> None:
    result = embed(small_release, tmp_path / "out.npz", spoiled, "--strict")
    assert result.exit_code == 2
    assert f"medimageinsight: {spoiled}/a/cut.png: the PNG image is " in result.stderr
    assert not (tmp_path / "out.npz").exists()


@pytest.mark.parametrize("texts", [(), ("--text", "a")])
def test_only_unreadable_files_are_an_error_that_writes_nothing(
    spoiled: Path, tmp_path: Path, small_release: Path, texts: tuple[str, ...]
) -> None:
    result = embed(small_release, tmp_path / "out.npz", spoiled / "a" / "cut.png", *texts)
    assert result.exit_code == 1
    assert "left out " in result.stderr
    assert "medimageinsight: no image can be read (1 failed), so nothing is written" in result.stderr
    assert not (tmp_path / "out.npz").exists()


def test_a_file_names_the_model_and_the_preprocessing_of_its_embeddings(tree: Path, small_release: Path) -> None:
    release = find_release_folder(small_release)
    for kind in ("npz", "parquet"):
        output = tree.parent / f"out.{kind}"
        assert embed(small_release, output, tree, "--image-standardization-image-size", "480").exit_code == 0
        content = read_embeddings(output)
        assert content.image_paths == [str(tree / "0.png"), str(tree / "a" / "1.jpg"), str(tree / "a" / "b" / "2.TIF")]
        assert content.image_features.shape == (3, read_config(release.config).embedding_size)
        assert (content.model, content.weights_sha256) == (release.name, release.weights_sha256())
        assert content.preprocessing == Preprocessing(Standardization(480))


def test_texts_alone(tmp_path: Path, small_release: Path, engine: EmbeddingEngine) -> None:
    assert embed(small_release, tmp_path / "out.npz", "--text", "a").exit_code == 0
    stored = arrays(tmp_path / "out.npz")
    assert stored.keys() == {"texts", "text_features", "logit_scale", "model", "weights_sha256", "preprocessing"}
    assert_close(stored["text_features"][0], text_vector(engine, "a"))


def test_a_text_that_is_not_unicode_is_refused_in_one_sentence(tmp_path: Path, small_release: Path) -> None:
    result = embed(small_release, tmp_path / "out.npz", "--text", "\udcff")
    assert result.exit_code == 2
    assert "half of a surrogate pair" in result.stderr
    assert "the text '\\udcff'" in result.stderr


def test_many_files_in_small_batches(tmp_path: Path, small_release: Path, engine: EmbeddingEngine) -> None:
    for number in range(11):
        (tmp_path / f"{number:02}.png").write_bytes(png(number))
    result = embed(small_release, tmp_path / "out.npz", tmp_path, "--max-batch-size", "3", "--decode-threads", "2")
    assert result.exit_code == 0
    stored = arrays(tmp_path / "out.npz")
    assert [Path(path).name for path in stored["image_paths"]] == [f"{number:02}.png" for number in range(11)]
    for number in (0, 5, 10):
        assert_close(stored["image_features"][number], image_vector(engine, png(number)))


def test_a_second_run_computes_nothing(
    tree: Path, tmp_path: Path, small_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert embed(small_release, tmp_path / "one.npz", tree, "--text", "a").exit_code == 0
    monkeypatch.setattr("app.cli.embedders.embedding_model.load_engine", lambda _: pytest.fail("the model was loaded"))
    assert embed(small_release, tmp_path / "two.npz", tree, "--text", "a").exit_code == 0
    one, two = arrays(tmp_path / "one.npz"), arrays(tmp_path / "two.npz")
    assert all((one[name] == two[name]).all() for name in one)


def test_no_cache_keeps_nothing(tree: Path, tmp_path: Path, small_release: Path) -> None:
    assert embed(small_release, tmp_path / "out.npz", tree, "--no-cache").exit_code == 0
    assert not (tmp_path / "cache").exists()


def test_texts_are_embedded_in_batches(
    tmp_path: Path, small_release: Path, engine: EmbeddingEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    embed_texts = EmbeddingEngine.embed_texts

    def counted(self: EmbeddingEngine, token_ids: Any, **options: Any) -> Any:
        sizes.append(len(token_ids))
        return embed_texts(self, token_ids, **options)

    monkeypatch.setattr(EmbeddingEngine, "embed_texts", counted)
    texts = [f"text {number}" for number in range(40)]
    words = [word for text in texts for word in ("--text", text)]
    assert embed(small_release, tmp_path / "out.npz", *words).exit_code == 0
    assert sizes[-2:] == [32, 8]  # before these, the warm-up
    assert_close(arrays(tmp_path / "out.npz")["text_features"][39], text_vector(engine, "text 39"))


def test_parquet_without_pyarrow_is_reported_before_anything_is_computed(
    tmp_path: Path, small_release: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = embed(Path("/nowhere/at/all"), tmp_path / "out.parquet", "--text", "a")
    assert result.exit_code == 2
    assert "install medimageinsight-server[parquet]" in result.stderr


@pytest.fixture(scope="module")
def url(small_release: Path) -> Iterator[str]:
    """The URL of a server with the small model, whose API key is `KEY`."""
    with serving(small_release, api_keys=KEY, max_text_chars=100) as url:
        yield url


def test_a_server_gives_the_same_as_the_engine(
    tree: Path, url: str, small_release: Path, engine: EmbeddingEngine, tmp_path: Path
) -> None:
    result = embed_with(url, tmp_path / "served.npz", tree, "--text", "mri")
    assert result.exit_code == 0, result.output
    served = arrays(tmp_path / "served.npz")
    assert embed(small_release, tmp_path / "local.npz", tree, "--text", "mri").exit_code == 0
    local = arrays(tmp_path / "local.npz")
    assert served["image_paths"].tolist() == local["image_paths"].tolist()
    assert_close(served["image_features"], local["image_features"])
    assert_close(served["text_features"][0], text_vector(engine, "mri"))
    assert served["logit_scale"] == local["logit_scale"]


def test_a_server_skips_the_standardization_too(tree: Path, url: str, engine: EmbeddingEngine, tmp_path: Path) -> None:
    assert embed_with(url, tmp_path / "out.npz", tree / "0.png", "--plain").exit_code == 0
    assert_close(arrays(tmp_path / "out.npz")["image_features"][0], image_vector(engine, png(), None))


def test_a_server_is_not_asked_twice(tree: Path, url: str, tmp_path: Path) -> None:
    def counters() -> dict[str, int]:
        found: dict[str, int] = httpx.get(f"{url}/info", headers={"authorization": f"Bearer {KEY}"}).json()["counters"]
        return found

    assert embed_with(url, tmp_path / "one.npz", tree, "--text", "b").exit_code == 0
    before = counters()
    assert embed_with(url, tmp_path / "two.npz", tree, "--text", "b").exit_code == 0
    assert {name: counters()[name] for name in ("images", "texts")} == {
        name: before[name] for name in ("images", "texts")
    }


def test_with_a_server_unreadable_files_are_left_out_or_end_the_command(
    spoiled: Path, url: str, engine: EmbeddingEngine, tmp_path: Path
) -> None:
    result = embed_with(url, tmp_path / "out.npz", spoiled)
    assert result.exit_code == 1, result.output
    assert f"left out {spoiled}/a/cut.png: " in result.stderr
    assert "3 images, 2 left out, 0 texts" in result.stderr
    assert_close(arrays(tmp_path / "out.npz")["image_features"][2], image_vector(engine, saved(picture(2), "TIFF")))
    strict = embed_with(url, tmp_path / "strict.npz", spoiled, "--strict")
    assert (strict.exit_code, f"medimageinsight: {spoiled}/a/cut.png: " in strict.stderr) == (2, True)


@pytest.mark.parametrize("has_images", [False, True])
def test_a_text_that_the_server_refuses_is_named_and_no_image_is_blamed(
    tree: Path, url: str, tmp_path: Path, has_images: bool
) -> None:
    long = "long " * 30
    result = embed_with(url, tmp_path / "out.npz", *([tree] if has_images else []), "--text", "short", "--text", long)
    assert result.exit_code == 2
    assert "the text 'long long" in result.stderr
    assert ".png" not in result.stderr


def test_with_a_server_the_model_of_the_environment_is_not_looked_at(
    url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL", "gpt-4")
    assert embed_with(url, tmp_path / "out.npz", "--text", "mri").exit_code == 0


def test_a_server_needs_no_scheme_but_no_other_one_than_http(url: str, tmp_path: Path) -> None:
    assert embed_with(url.removeprefix("http://"), tmp_path / "out.npz", "--text", "mri").exit_code == 0
    refused = embed_with("ftp://localhost:8000", tmp_path / "out.npz", "--text", "mri")
    assert refused.exit_code == 2
    assert refused.stderr.endswith("the URL starts with ftp:, but must start with http:// or https://\n")


def test_a_wrong_key_or_a_missing_server_is_reported(tree: Path, url: str, tmp_path: Path) -> None:
    command = ["embed", "--text", "mri", "-o", str(tmp_path / "out.npz"), "--no-cache", "--server"]
    none = CliRunner().invoke(main, [*command, url])
    wrong = CliRunner(env={"MEDIMAGEINSIGHT_API_KEY": "hush"}).invoke(main, [*command, url])
    right = CliRunner(env={"MEDIMAGEINSIGHT_API_KEY": KEY}).invoke(main, [*command, url])
    gone = CliRunner().invoke(main, [*command, "http://127.0.0.1:1"])
    assert (none.exit_code, wrong.exit_code, right.exit_code, gone.exit_code) == (2, 2, 0, 2)
    variable = "the environment variable MEDIMAGEINSIGHT_API_KEY"
    assert none.stderr == f"medimageinsight: the server at {url} asks for an API key (401); set {variable} to it\n"
    assert f"the server at {url} refuses the API key of {variable} (403); set the variable to" in wrong.stderr
    assert "hush" not in wrong.output
    assert "http://127.0.0.1:1" in gone.stderr
    assert gone.stderr.count("\n") == 1


@pytest.mark.parametrize("key", ["", KEY])
def test_a_user_and_a_password_in_the_url_are_not_taken_for_the_key_and_not_shown(
    url: str, tmp_path: Path, key: str
) -> None:
    place = url.removeprefix("http://")
    command = ["embed", "--text", "mri", "-o", str(tmp_path / "out.npz"), "--no-cache", "--server"]
    runner = CliRunner(env={"MEDIMAGEINSIGHT_API_KEY": key})
    for user in ("http://me:hush@", "me:hush@"):
        refused = runner.invoke(main, [*command, f"{user}{place}"])
        assert refused.exit_code == 2
        assert f"@{place} refuses the user name and password of the URL (401), which are sent instead" in refused.stderr
        assert "leave them out of --server" in refused.stderr
        assert "hush" not in refused.output
    gone = runner.invoke(main, [*command, "http://me:hush@127.0.0.1:1"])
    assert "answers at http://***@127.0.0.1:1: the connection failed" in gone.stderr
    assert "hush" not in gone.output
