"""Output files that get their name only when they are complete."""

import errno
import os
import re
import shutil
import stat
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self

from safetensors import SafetensorError

from model.errors import OutputError

Writer = Callable[[Path], object]


class OutputFile:
    """A file that is written to `NAME.partial` beside it, and then renamed.

    It is opened before the work whose results it gets, so that a place that cannot be written ends the work at once.
    A place that is not a regular file, such as /dev/stdout, is written directly. A symbolic link stays.
    """

    def __init__(self, path: Path) -> None:
        """Open the file.

        Args:
            path: the file, in a folder that exists; if the file exists, it is only changed by `write`.

        Raises:
            OutputError: the file cannot be written.
        """
        self.path = self._target = self._partial = path
        with output_errors_named(path):
            if path.is_dir():
                raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
            self._is_renamed = path.is_file() or not path.exists()
            if self._is_renamed:
                self._target = Path(os.path.realpath(path))
                if self._target.exists():
                    self._target.open("ab").close()
                self._partial = self._target.with_name(f"{self._target.name}.partial")
                self._partial.unlink(missing_ok=True)  # one that a killed process left may have another mode
                self._partial.open("wb").close()
                self._mode = stat.S_IMODE(self._partial.stat().st_mode)

    def write(self, writer: Writer) -> None:
        """Write the file, and give it its name.

        Args:
            writer: writes the whole content to the path that it is called with.

        Raises:
            OutputError: the content cannot be written, for example because the disk is full.
        """
        with output_errors_named(self.path):
            writer(self._partial)
            if self._is_renamed:
                self._rename()

    def _rename(self) -> None:
        """Rename the complete file, in an order that also survives the loss of power."""
        if self._target.exists():
            shutil.copymode(self._target, self._partial)
        else:
            self._partial.chmod(self._mode)  # safetensors makes a file that only its owner can read
        with self._partial.open("rb") as stream:
            os.fsync(stream.fileno())
        self._partial.replace(self._target)
        folder = os.open(self._target.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._is_renamed and self._partial.exists():
            self._partial.unlink()


def write_file(path: Path, writer: Writer) -> None:
    """Write a file as `OutputFile.write`.

    Raises:
        OutputError: the file cannot be written.
    """
    with OutputFile(path) as output:
        output.write(writer)


def open_folder(folder: Path) -> None:
    """Create a folder for output files if it is missing.

    Raises:
        OutputError: the folder cannot be created, or no file can be created in it.
    """
    with output_errors_named(folder):
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()


@contextmanager
def output_errors_named(path: Path) -> Iterator[None]:
    """Context in which a file is written, and whose errors become one OutputError that names the path."""
    try:
        yield
    except (OSError, RuntimeError, SafetensorError) as error:
        cause = error.__context__ if isinstance(error, RuntimeError) else error  # torch.save raises RuntimeError
        if not isinstance(cause, (OSError, SafetensorError)):
            raise
        number = cause.errno if isinstance(cause, OSError) else _errno_in(cause)
        reason = os.strerror(number) if number else type(cause).__name__
        raise OutputError(f"{path} cannot be written ({reason}); name a writable place with enough space") from error


def _errno_in(error: SafetensorError) -> int | None:
    """The number of the operating system's error, which safetensors only has in its text."""
    found = re.search(r"os error (\d+)", str(error))
    return int(found[1]) if found else None
