"""The command `medimageinsight` as a process, from this checkout."""

import os
import subprocess
import sys
from pathlib import Path

TIMEOUT_S = 60
ROOT = Path(__file__).parents[2]
SCRIPT = str(Path(sys.executable).with_name("medimageinsight"))
# The script is installed once; this makes it import the checkout that the tests are in. Unlike the applications in the
# process of the tests, it decodes in processes.
CHECKOUT = {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "client")]), "DECODE_WORKERS": "auto"}


def run_script(*arguments: str | Path, cwd: Path | None = None, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end.

    Args:
        arguments: words of the command line after `medimageinsight`.
        cwd: working directory; default None keeps that of the tests.
        environment: variables added to those of the tests.
    """
    command = [SCRIPT, *map(str, arguments)]
    variables = os.environ | CHECKOUT | environment
    return subprocess.run(command, cwd=cwd, env=variables, capture_output=True, text=True, timeout=TIMEOUT_S)
