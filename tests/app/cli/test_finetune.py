"""The command `finetune`, started by torchrun as the help text says."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.console_script import CHECKOUT, SCRIPT, TIMEOUT_S
from tests.support.learnable import make_tiny_release, write_manifest, write_pictures


def test_torchrun_starts_the_console_script_in_a_folder_with_app_and_model(tmp_path: Path) -> None:
    for name in ("app.py", "model.py"):
        (tmp_path / name).write_text("raise SystemExit('the wrong file was imported')\n")
    release = make_tiny_release(tmp_path)
    manifest = write_manifest(tmp_path / "manifest.csv", write_pictures(tmp_path, 16))
    torchrun = [str(Path(sys.executable).with_name("torchrun")), "--no-python", "--nproc-per-node", "2"]
    flags = ["--steps", "1", "--batch-size", "8", "--device", "cpu", "--threads", "1", "--no-tensorboard"]
    done = subprocess.run(
        [*torchrun, SCRIPT, "finetune", "--model", release.name, "--data", manifest.name, "--out", "out", *flags],
        cwd=tmp_path,
        env=os.environ | CHECKOUT,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "out" / "training.json").read_text())["processes"] == 2
