"""Makes calls from `model.imaging` into other packages fail, with any of the exceptions that those packages define.

The profile function of Python sees each call, of functions in Python and in C, before it happens. It may raise.
"""

import builtins
import importlib
import inspect
import lzma
import re
import struct
import sys
import warnings
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import FrameType, ModuleType
from typing import Any

import imagecodecs

import model.imaging

PACKAGES = ("PIL", "pydicom", "nibabel", "tifffile", "imagecodecs")
# The decoders behind pydicom, and the modules of the standard library that unpack.
_DECODERS = ("pylibjpeg", "libjpeg", "openjpeg", "rle", "jpeg_ls", "_CharLS", "zlib", "bz2", "_bz2", "_lzma", "lzma")
# Built-in errors that code causes without raising them.
_CAUSED = (MemoryError, RecursionError, OverflowError, ZeroDivisionError, FloatingPointError, BufferError,
           UnicodeDecodeError, struct.error, zlib.error, lzma.LZMAError)  # fmt: skip
_OURS = str(Path(model.imaging.__file__).parent)
_DEFINITION = re.compile(r"^class (\w+)\(", re.MULTILINE)
_RAISED = re.compile(r"^\s+raise (\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Call:
    """A call from `model.imaging` into another package: the calling file and line, and what is called."""

    file: str
    line: int
    callee: str


def calls_during(action: Callable[[], object]) -> list[Call]:
    """The calls into other packages that an action makes, each once, in their order."""
    found: dict[Call, None] = {}
    with _profiled(lambda call: found.setdefault(call)):
        action()
    return list(found)


@contextmanager
def failing(place: Call, error: BaseException) -> Iterator[None]:
    """In this block, the first call at a place raises an error."""

    def raise_there(call: Call) -> None:
        if call == place:
            raise error

    with _profiled(raise_there):
        yield


@contextmanager
def _profiled(seen: Callable[[Call], object]) -> Iterator[None]:
    """Call `seen` before each call from `model.imaging` into another package. If it raises, the call raises."""

    def profile(frame: FrameType, event: str, argument: Any) -> None:
        caller = frame.f_back if event == "call" else frame
        if event not in ("call", "c_call") or caller is None or not caller.f_code.co_filename.startswith(_OURS):
            return
        callee = _called_function(frame) if event == "call" else _called_builtin(argument)
        if callee:
            place = Path(caller.f_code.co_filename).relative_to(_OURS).as_posix()
            seen(Call(place, caller.f_lineno, callee))

    with _visible_codecs():
        sys.setprofile(profile)
        try:
            yield
        finally:
            sys.setprofile(None)


def _called_function(frame: FrameType) -> str:
    """Name of a called Python function of another package, or ""."""
    if frame.f_code is _CODEC:
        return f"imagecodecs.{frame.f_locals['codec'].__name__}"
    module = str(frame.f_globals.get("__name__", ""))
    is_foreign = module.partition(".")[0] in (*PACKAGES, *_DECODERS)
    return f"{module}.{frame.f_code.co_qualname}" if is_foreign else ""


def _called_builtin(function: Any) -> str:
    """Name of a called C function of another package, or ""."""
    owner = getattr(function, "__self__", None)
    owner = owner if isinstance(owner, ModuleType) else type(owner)
    module = getattr(function, "__module__", None) or getattr(owner, "__module__", None) or owner.__name__
    is_foreign = str(module).partition(".")[0] in (*PACKAGES, *_DECODERS)
    return f"{module}.{function.__name__}" if is_foreign else ""


@contextmanager
def _visible_codecs() -> Iterator[None]:
    """Wrap the decoders of imagecodecs: Python reports no calls of functions that Cython made."""
    originals = {name: getattr(imagecodecs, name) for name in dir(imagecodecs) if name.endswith("_decode")}
    for name, codec in originals.items():
        setattr(imagecodecs, name, _visible(codec))
    try:
        yield
    finally:
        for name, codec in originals.items():
            setattr(imagecodecs, name, codec)


def _visible(codec: Any) -> Any:
    def call(*args: Any, codec: Any = codec, **options: Any) -> Any:
        return codec(*args, **options)

    return call


_CODEC = _visible(None).__code__


@cache
def foreign_errors() -> tuple[type[Exception], ...]:
    """Every exception class that `PACKAGES` define, and the built-in ones that they raise or may cause."""
    found: set[type[Exception]] = {*_CAUSED}
    codecs = (getattr(imagecodecs, name) for name in dir(imagecodecs) if name.endswith("Error"))
    found |= {error for error in codecs if inspect.isclass(error) and issubclass(error, Exception)}
    for package in PACKAGES:
        root = Path(str(importlib.import_module(package).__file__)).parent
        for file in sorted(root.rglob("*.py")):
            text = file.read_text(encoding="utf-8", errors="replace")
            if {"tests", "testing", "benchmarks"} & set(file.relative_to(root).parts):
                continue
            raised = (getattr(builtins, name, None) for name in _RAISED.findall(text))
            found |= {error for error in raised if inspect.isclass(error) and issubclass(error, Exception)}
            if any(name.endswith(("Error", "Exception", "Warning")) for name in _DEFINITION.findall(text)):
                found |= set(_defined_in(package, file.relative_to(root)))
    return tuple(sorted(found, key=lambda error: (error.__module__, error.__qualname__)))


def _defined_in(package: str, file: Path) -> Iterator[type[Exception]]:
    name = ".".join([package, *file.with_suffix("").parts]).removesuffix(".__init__")
    try:
        with warnings.catch_warnings(action="ignore"):
            module = importlib.import_module(name)
    except ImportError:  # needs a package that is not installed
        return
    for value in vars(module).values():
        if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == name:
            yield value


def raisable(error: type[BaseException]) -> BaseException:
    """An instance of an exception class, whatever its constructor needs."""
    return error.__new__(error)
