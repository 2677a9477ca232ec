"""A server whose decoders obey hostile images: `python -m tests.support.hostile_decoders.server`."""

from functools import partial

import app.cli.main
from app.decoding.pool import DecoderPool
from tests.support.hostile_decoders.fork_server import PROGRAM

if __name__ == "__main__":
    DecoderPool.of_processes = partial(DecoderPool.of_processes, program=PROGRAM)  # type: ignore[method-assign]
    app.cli.main.main()
