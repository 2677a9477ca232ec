"""The image encoder, the text encoder and the tokenizer."""
