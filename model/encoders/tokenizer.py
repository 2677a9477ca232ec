"""Text to token ids: CLIP's byte-pair encoding behind `ftfy`, as the released pipeline ran it."""

from pathlib import Path

from tokenizers import AddedToken, Regex, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from model.errors import CheckpointError, TextInvalid

VOCABULARY_FILES = ("vocab.json", "merges.txt")
START, END = "<|startoftext|>", "<|endoftext|>"
# How CLIP (Radford et al. 2021) parts a text into words before it merges their bytes.
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Tokenizer:
    """CLIP's tokeniser for one vocabulary and context length. Safe to call from several threads."""

    def __init__(self, folder: Path, context_length: int) -> None:
        """Read `vocab.json` and `merges.txt`.

        Raises:
            CheckpointError: a file is missing or unreadable, or the end-of-text token is not the last of the
                vocabulary (the text encoder finds it as the largest id).
        """
        missing = [name for name in VOCABULARY_FILES if not (folder / name).is_file()]
        if missing:
            raise CheckpointError(f"the tokenizer folder {folder.name} lacks {' and '.join(missing)}")
        try:
            self._backend = _backend(*(str(folder / name) for name in VOCABULARY_FILES))
        except Exception as error:  # the tokenizers package raises nothing more special
            raise CheckpointError(f"the tokenizer folder {folder.name} holds no readable CLIP vocabulary") from error
        self.vocabulary_size = self._backend.get_vocab_size()
        if self._backend.token_to_id(END) != self.vocabulary_size - 1:
            raise CheckpointError("the tokenizer's end-of-text token must have the largest id of its vocabulary")
        self.context_length = context_length
        self._backend.enable_truncation(context_length)

    def __call__(self, text: str) -> tuple[int, ...]:
        """Encode one text: start token, at most `context_length` - 2 tokens, end token; no padding.

        Raises:
            TextInvalid: the text holds a lone surrogate, so it is no Unicode text.
        """
        import ftfy

        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise TextInvalid("the text holds half of a surrogate pair; send well-formed Unicode") from error
        return tuple(self._backend.encode(ftfy.fix_text(text).lower()).ids)


def _backend(vocabulary: str, merges: str) -> Backend:
    """CLIP's pipeline without a normaliser: `Tokenizer.__call__` normalises as the released pipeline did."""
    backend = Backend(models.BPE.from_file(vocabulary, merges, end_of_word_suffix="</w>", unk_token=END))
    backend.add_special_tokens([AddedToken(START, normalized=True), AddedToken(END, normalized=False)])
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    ids = [(token, backend.token_to_id(token)) for token in (START, END)]
    backend.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ids)
    return backend
