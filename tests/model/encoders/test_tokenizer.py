"""The tokenizer: truncation, threads, invalid texts, damaged files. `tests/parity` compares ids with the reference."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import ftfy
import pytest
from open_clip.tokenizer import SimpleTokenizer

from model.encoders.tokenizer import Tokenizer
from model.errors import CheckpointError, TextInvalid
from tests.support.tiny import VOCABULARY_SIZE, write_vocabulary

START, END = 49406, 49407
CONTEXT_LENGTH = 77
LONG_TEXTS_OF = ["a", "chest ", "胸", "&amp;", "\n", "e\u0301", "<", "Ã©", "😀"]


@pytest.fixture(scope="module")
def clip_folder(small_release: Path) -> Path:
    return next((small_release / "language_model").iterdir())


@pytest.fixture(scope="module")
def tokenizer(clip_folder: Path) -> Tokenizer:
    return Tokenizer(clip_folder, CONTEXT_LENGTH)


def test_a_text_is_between_start_and_end(tokenizer: Tokenizer) -> None:
    assert tokenizer("chest x-ray") == (START, 10563, 343, 268, 3077, END)
    assert tokenizer("") == (START, END)
    assert tokenizer.vocabulary_size == 49408


@pytest.mark.parametrize("words", [74, 75, 76, 77, 1000])
def test_a_long_text_is_cut_and_keeps_its_end_token(tokenizer: Tokenizer, words: int) -> None:
    ids = tokenizer("chest " * words)
    assert len(ids) == min(words + 2, CONTEXT_LENGTH)
    assert ids == (START, *[10563] * (len(ids) - 2), END)


@pytest.mark.parametrize("words", [0, 1, 74, 75, 76, 149, 150, 151, 1000])
def test_tokens_are_counted_before_the_cut(tokenizer: Tokenizer, words: int) -> None:
    text = "chest " * words
    assert tokenizer.counted(text) == (tokenizer(text), words + 2)


@pytest.mark.parametrize("context_length", [3, 16, 77, 200])
def test_the_context_length_can_be_chosen(clip_folder: Path, context_length: int) -> None:
    assert len(Tokenizer(clip_folder, context_length)("chest " * 300)) == context_length


@pytest.mark.parametrize(
    "text",
    [
        "CHEST X-RAY: No Pneumothorax!",
        "ΠΝΕΥΜΟΝΑΣ ΚΑΙ ΘΩΡΑΚΑΣ",  # in lower case, Python uses another sigma at the end of a Greek word
        "İstanbul, J̌ and H̱",  # ftfy composes characters before lower case
        "naïve cafe\u0301 — “quoted” ﬁbrosis ½ Ⅷ Ｆｕｌｌ",
        "cafÃ© &amp; &lt;b&gt; it's we'll DON'T",
        "胸部X線 الصدر грудь หน้าอก 😀",
        "tab\tline\nend\r\nfeed\x0c nbsp\u00a0x zero\u200bwidth \x85",
    ],
)
def test_ids_are_those_of_openais_own_algorithm(tokenizer: Tokenizer, text: str) -> None:
    plain = SimpleTokenizer()
    plain.clean_fn = lambda text: " ".join(
        ftfy.fix_text(text).split()
    ).lower()  # as transformers' slow tokenizer cleans texts
    assert tokenizer(text) == (START, *plain.encode(text), END)


def test_end_tokens_that_a_text_spells_out_are_special_too(tokenizer: Tokenizer) -> None:
    assert tokenizer("a <|endoftext|> b") == tokenizer("A <|ENDOFTEXT|> B") == (START, 320, END, 321, END)


def test_calls_from_several_threads_do_not_disturb_each_other(tokenizer: Tokenizer) -> None:
    texts = [f"finding {number}, " * (number % 40) for number in range(200)]
    alone = [tokenizer(text) for text in texts]
    with ThreadPoolExecutor(8) as pool:
        runs = [pool.submit(lambda: [tokenizer(text) for text in texts]) for _ in range(8)]
        assert all(run.result() == alone for run in runs)


@pytest.mark.parametrize("text", ["\ud800", "chest \udfff x-ray", "\udcff\udcfe"])
def test_half_a_surrogate_pair_is_invalid(tokenizer: Tokenizer, text: str) -> None:
    with pytest.raises(TextInvalid, match="the text contains half of a surrogate pair; send valid Unicode"):
        tokenizer(text)


def test_nul_and_other_controls_are_text(tokenizer: Tokenizer) -> None:
    assert tokenizer("chest\0") == tokenizer("chest\x07\x1b[1m") == tokenizer("chest")


@pytest.mark.parametrize("letters", LONG_TEXTS_OF)
def test_100_000_characters_are_cut_to_the_context(tokenizer: Tokenizer, letters: str) -> None:
    assert tokenizer((letters * 100_000)[:100_000])[-1] == END


@pytest.mark.timing
@pytest.mark.parametrize("letters", LONG_TEXTS_OF)
def test_100_000_characters_are_quick(tokenizer: Tokenizer, letters: str) -> None:
    text = (letters * 100_000)[:100_000]
    start = time.process_time()
    tokenizer(text)
    assert time.process_time() - start < 5


def test_a_vocabulary_of_another_size(tmp_path: Path) -> None:
    tokenizer = Tokenizer(write_vocabulary(tmp_path), 8)
    assert tokenizer.vocabulary_size == VOCABULARY_SIZE
    vocabulary = json.loads((tmp_path / "vocab.json").read_text())
    assert tokenizer("Chest ray") == tuple(
        vocabulary[token] for token in ("<|startoftext|>", "chest</w>", "r", "a", "y</w>", "<|endoftext|>")
    )
    assert tokenizer("chest " * 9)[-1] == VOCABULARY_SIZE - 1


@pytest.mark.parametrize(
    "name", ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
)
def test_other_files_beside_the_vocabulary_change_nothing(tmp_path: Path, name: str) -> None:
    alone = Tokenizer(write_vocabulary(tmp_path), 8)("Chest")
    (tmp_path / name).write_text('{"model": {"type": "WordLevel", "vocab": {}}, "eos_token": "a", "x": 1000}')
    assert Tokenizer(tmp_path, 8)("Chest") == alone


@pytest.mark.parametrize("name", ["vocab.json", "merges.txt"])
def test_a_missing_file_is_named(tmp_path: Path, name: str) -> None:
    (write_vocabulary(tmp_path) / name).unlink()
    with pytest.raises(CheckpointError, match=f"^the tokenizer folder {tmp_path.name} lacks {name}$"):
        Tokenizer(tmp_path, 8)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("vocab.json", b""),
        ("vocab.json", b"{"),
        ("vocab.json", b"[]"),
        ("vocab.json", b'{"a": "b"}'),
        ("vocab.json", b"\xff\xfe"),
        ("merges.txt", b"\xff\xfe"),
        ("merges.txt", b"#version: 0.2\nno such tokens\n"),
    ],
)
def test_an_unreadable_file_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    (write_vocabulary(tmp_path) / name).write_bytes(content)
    with pytest.raises(CheckpointError):
        Tokenizer(tmp_path, 8)


def test_a_vocabulary_whose_end_token_is_not_the_last_is_refused(tmp_path: Path) -> None:
    vocabulary = json.loads((write_vocabulary(tmp_path) / "vocab.json").read_text())
    vocabulary["<|endoftext|>"], vocabulary["a"] = vocabulary["a"], vocabulary["<|endoftext|>"]
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary))
    with pytest.raises(
        CheckpointError, match="end-of-text token of the tokenizer must have the largest id of the vocabulary"
    ):
        Tokenizer(tmp_path, 8)
