"""Imports of packages that only the extra `train` installs."""

import importlib
from types import ModuleType

from model.errors import ExtraMissing


def extra(module: str) -> ModuleType:
    """Import a module of a package of the extra `train`.

    Args:
        module: name of the module, such as `sklearn.linear_model`.

    Raises:
        ExtraMissing: the package is not installed.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = {"sklearn": "scikit-learn"}.get(module.partition(".")[0], module.partition(".")[0])
        raise ExtraMissing(f"this needs {package}: install medimageinsight-server[train]") from error
