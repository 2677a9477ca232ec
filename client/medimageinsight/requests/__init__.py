"""Requests of a client: bodies of bounded size, several at once, with retries."""
