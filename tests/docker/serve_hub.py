"""`python -m tests.docker.serve_hub RELEASE`: a stand-in for the Hugging Face hub, until standard input ends.

It serves the release folder RELEASE under the id of the released model. It prints its URL, and then for every line of
input the number of files that were downloaded so far.
"""

import sys
from pathlib import Path

from tests.support.servers.standin_hub import REPO, StandinHub


def main(folder: str) -> None:
    release = Path(folder)
    files = [path for path in release.rglob("*") if path.is_file()]
    with StandinHub() as hub:
        hub.publish(REPO, {path.relative_to(release.parent).as_posix(): path.read_bytes() for path in files})
        print(hub.endpoint, flush=True)
        for _ in sys.stdin:
            print(len(hub.fetched()), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
