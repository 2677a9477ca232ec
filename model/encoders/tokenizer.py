"""Tokenizer: `ftfy`, lower case, then CLIP's byte-pair encoding, as in the released pipeline."""

from pathlib import Path

from tokenizers import AddedToken, Regex, models, pre_tokenizers, processors
from tokenizers import Tokenizer as Backend

from model.errors import CheckpointError, TextInvalid

VOCABULARY_FILES = ("vocab.json", "merges.txt")
START, END = "<|startoftext|>", "<|endoftext|>"
# The words into which CLIP (Radford et al. 2021, arXiv:2103.00020) splits a text before it merges their bytes.
_WORDS = r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+"


class Tokenizer:
    """CLIP's tokenizer for one vocabulary and one context length. May be called from several threads at once."""

    def __init__(self, folder: Path, context_length: int) -> None:
        """Read the vocabulary.

        Args:
            folder: contains `vocab.json` and `merges.txt`.
            context_length: the maximum number of tokens per text, including the start token and the end token.

        Raises:
            CheckpointError: a file is missing or unreadable, or the end-of-text token does not have the largest id,
                by which the text encoder finds it.
        """
        missing = [name for name in VOCABULARY_FILES if not (folder / name).is_file()]
        if missing:
            raise CheckpointError(f"the tokenizer folder {folder.name} lacks {' and '.join(missing)}")
        try:
            self._backend = _backend(*(str(folder / name) for name in VOCABULARY_FILES))
        except Exception as error:  # the tokenizers package raises only the base class
            raise CheckpointError(f"the tokenizer folder {folder.name} contains no readable CLIP vocabulary") from error
        self.vocabulary_size = self._backend.get_vocab_size()
        if self._backend.token_to_id(END) != self.vocabulary_size - 1:
            raise CheckpointError("the end-of-text token of the tokenizer must have the largest id of the vocabulary")
        self.context_length = context_length
        self._backend.enable_truncation(context_length)

    def __call__(self, text: str) -> tuple[int, ...]:
        """The token ids of one text; see `counted`."""
        return self.counted(text)[0]

    def counted(self, text: str) -> tuple[tuple[int, ...], int]:
        """Encode one text, without padding, and count its tokens.

        Returns:
            The start token, at most `context_length` - 2 tokens of the text, and the end token; and the number of
            tokens that the text would have without this limit.

        Raises:
            TextInvalid: the text contains a lone surrogate, so it is not valid Unicode.
        """
        import ftfy

        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise TextInvalid("the text contains half of a surrogate pair; send valid Unicode") from error
        encoding = self._backend.encode(ftfy.fix_text(text).lower())
        ids = tuple(encoding.ids)
        if len(ids) < self.context_length:
            return ids, len(ids)
        return ids, len(ids) + sum(len(rest) - 2 for rest in encoding.overflowing)  # each has a start and an end


def _backend(vocabulary: str, merges: str) -> Backend:
    """CLIP's pipeline without a normalizer, because `Tokenizer.counted` normalizes as the released pipeline does."""
    backend = Backend(models.BPE.from_file(vocabulary, merges, end_of_word_suffix="</w>", unk_token=END))
    backend.add_special_tokens([AddedToken(START, normalized=True), AddedToken(END, normalized=False)])
    words = pre_tokenizers.Split(Regex(_WORDS), behavior="removed", invert=True)
    backend.pre_tokenizer = pre_tokenizers.Sequence([words, pre_tokenizers.ByteLevel(add_prefix_space=False)])
    ids = [(token, backend.token_to_id(token)) for token in (START, END)]
    backend.post_processor = processors.TemplateProcessing(single=f"{START} $A {END}", special_tokens=ids)
    return backend
