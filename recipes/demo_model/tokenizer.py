"""Small byte-pair vocabulary in the file format of CLIP's tokeniser."""

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
END_OF_WORD = "</w>"


def write_tokenizer(texts: Iterable[str], folder: Path, *, merges: int, context_length: int) -> int:
    """Learn merges from texts and write `vocab.json`, `merges.txt` and `tokenizer_config.json`.

    As in CLIP, the vocabulary starts with all bytes, each inside a word and at the end of a word, so that any text can
    be tokenised. It ends with the start-of-text and end-of-text tokens.

    Args:
        texts: texts to learn from.
        folder: folder of the files; created if it is missing.
        merges: number of merges to learn.
        context_length: largest number of tokens per text.

    Returns:
        The size of the vocabulary.
    """
    learned = _learn_merges(texts, merges)
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    tokens = [*letters, *(letter + END_OF_WORD for letter in letters)]
    tokens += [first + second for first, second in learned]
    tokens = [*dict.fromkeys(tokens), START, END]
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = {token: number for number, token in enumerate(tokens)}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in learned)]
    (folder / "merges.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "do_lower_case": True,
        "model_max_length": context_length,
        "bos_token": START,
        "eos_token": END,
        "unk_token": END,
        "pad_token": END,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    return len(tokens)


def _learn_merges(texts: Iterable[str], count: int) -> list[tuple[str, str]]:
    splitting = CLIPTokenizer().backend_tokenizer  # CLIP's rules of splitting a text into words
    learner = Tokenizer(models.BPE(end_of_word_suffix=END_OF_WORD))
    learner.normalizer, learner.pre_tokenizer = splitting.normalizer, splitting.pre_tokenizer
    trainer = trainers.BpeTrainer(
        vocab_size=2 * 256 + count,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        end_of_word_suffix=END_OF_WORD,
        show_progress=False,
    )
    learner.train_from_iterator(texts, trainer)
    merges = json.loads(learner.to_str())["model"]["merges"]
    return [(first, second) for first, second in merges]
