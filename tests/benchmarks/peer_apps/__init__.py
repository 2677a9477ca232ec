"""Other servers around the same encoder, each configured as its documentation recommends."""
