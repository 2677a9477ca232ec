"""The number of CPUs."""

import os
import subprocess
import sys

import pytest

from model.cpus import available_cpus


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system has no affinity")
def test_cpus_are_those_that_the_process_may_use() -> None:
    program = (
        "import os\n"
        "os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
        "from model.cpus import available_cpus\n"
        "print(available_cpus())\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, timeout=60)
    assert int(done.stdout) == 1
    assert 1 <= available_cpus() <= len(os.sched_getaffinity(0))
