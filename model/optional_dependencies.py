"""Packages of the extra `train`, imported where they are used."""

import importlib
from types import ModuleType

from model.errors import ExtraMissing


def extra(module: str) -> ModuleType:
    """Import a module of the extra.

    Raises:
        ExtraMissing: it is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"sklearn": "scikit-learn"}.get(module.partition(".")[0], module.partition(".")[0])
        raise ExtraMissing(f"this needs {package}: install medimageinsight-server[train]") from error
