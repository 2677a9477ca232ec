"""To import a module of this project changes nothing in the process that imports it."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.console_script import CHECKOUT
from tests.test_architecture import APP, CLIENT, MODEL, ROOT, executed_nodes, module_of

RECIPES = sorted((ROOT / "recipes").rglob("*.py"))
CODE = """
import csv, decimal, faulthandler, gc, importlib, json, locale, logging, mimetypes, os, random, signal, socket, sys
import threading, warnings

def state():
    import numpy, torch, PIL.Image, PIL.ImageFile
    random_states = random.getstate(), numpy.random.get_state()[1].tolist(), torch.get_rng_state().tolist()
    return {
        "csv": csv.field_size_limit(),
        "warnings": [str(entry) for entry in warnings.filters],
        "loggers": {
            name: (logger.level, len(logger.handlers), logger.disabled)
            for name, logger in logging.root.manager.loggerDict.items()
            if isinstance(logger, logging.Logger) and (logger.level or logger.handlers)
        },
        "logging": (logging.root.level, len(logging.root.handlers), logging.root.manager.disable),
        "environment": dict(os.environ),
        "signals": {number: str(signal.getsignal(number)) for number in signal.valid_signals()},
        "locale": locale.setlocale(locale.LC_ALL),
        "torch": (
            torch.get_num_threads(), torch.get_num_interop_threads(), str(torch.get_default_dtype()),
            torch.get_float32_matmul_precision(), torch.backends.cudnn.benchmark, torch.is_grad_enabled(),
        ),
        "Pillow": (PIL.Image.MAX_IMAGE_PIXELS, PIL.ImageFile.LOAD_TRUNCATED_IMAGES),
        "numpy": {**numpy.geterr(), **{k: str(v) for k, v in numpy.get_printoptions().items()}},
        "random": hash(str(random_states)),
        "others": (
            sys.getrecursionlimit(), sys.get_int_max_str_digits(), sys.getswitchinterval(), socket.getdefaulttimeout(),
            gc.get_threshold(), gc.isenabled(), faulthandler.is_enabled(), threading.active_count(), os.umask(0o22),
            os.getcwd(), list(sys.path), str(sys.excepthook), len(mimetypes.types_map), decimal.getcontext().prec,
        ),
    }

for name in THIRD_PARTY:
    try:
        importlib.import_module(name)
    except ImportError:
        pass
os.umask(0o22)
before = state()
for name in MODULES:
    importlib.import_module(name)
after = state()
print(json.dumps({name: [before[name], after[name]] for name in before if before[name] != after[name]}, default=str))
"""


def is_program(file: Path) -> bool:
    """Whether a file is run with `python -m`: what it does to its process is its own affair."""
    return '__name__ == "__main__"' in file.read_text(encoding="utf-8")


def imported_names(file: Path) -> set[str]:
    """What a file imports from other projects."""
    names = set()
    for node in executed_nodes(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {node.module, *(f"{node.module}.{name.name}" for name in node.names)}
    return {name for name in names if name.split(".")[0] not in ("app", "model", "recipes", "medimageinsight")}


def test_no_import_changes_the_state_of_the_process() -> None:
    files = [file for file in (*MODEL, *APP, *CLIENT, *RECIPES) if not is_program(file)]
    modules = list(map(module_of, files))
    third_party = sorted({name for file in files for name in imported_names(file)})
    code = f"THIRD_PARTY, MODULES = {third_party!r}, {modules!r}\n{CODE}"
    environment = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}  # set by conftest
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment | CHECKOUT, capture_output=True, text=True, timeout=120, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout) == {}
