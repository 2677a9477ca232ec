"""Image files to PNG files of what the image encoder gets of them."""

import os
import threading
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path

from tqdm import tqdm

from model.errors import InvalidInput, OutputError
from model.imaging.formats import ImageFile
from model.imaging.images import open_image
from model.imaging.preprocessing import Standardization
from model.imaging.rendered_png import encode_png
from model.imaging.rendering import AS_STORED, Rendering
from model.output_file import output_errors_named, write_file

_DOUBLE_SUFFIX = ".nii.gz"
_MAX_SUFFIX_CHARS = 6  # ".dicom"


@dataclass(frozen=True)
class PictureOptions:
    """Which pictures are written.

    Args:
        max_pixels: limit for one picture; at most `model.imaging.limits.MAX_PIXELS`.
        rendering: frame, axis and window; default: those that are embedded.
        every_frame: whether all frames are written, whatever the frame of `rendering` is; default False.
        standardization: the first step of the preprocessing, which is applied; default None shows the picture before.
        overwrite: whether files that exist are replaced, except for the images themselves; default False.
    """

    max_pixels: int
    rendering: Rendering = AS_STORED
    every_frame: bool = False
    standardization: Standardization | None = None
    overwrite: bool = False


@dataclass
class WrittenPictures:
    """What became of one image file.

    Attributes:
        file: the image file.
        count: number of PNG files that were written.
        problem: why the next picture was not written, in one sentence; "" if all were.
    """

    file: Path
    count: int = 0
    problem: str = ""


def write_pictures(
    files: Sequence[Path],
    names: Sequence[Path],
    options: PictureOptions,
    *,
    threads: int,
    progress: bool = False,
) -> Iterator[WrittenPictures]:
    """Write the pictures of image files, several files at once; yields the results in the order of the files.

    Args:
        files: the image files.
        names: path of each file's picture without its suffix; `picture_names` makes them. The folders are created.
        options: which pictures are written.
        threads: number of files that are read at once.
        progress: whether to show a progress bar; default False.
    """
    output = _Output(files, overwrite=options.overwrite)

    def write(file: Path, name: Path) -> WrittenPictures:
        return _write_pictures_of(file, name, options, output)

    pool = ThreadPoolExecutor(threads)
    try:
        yield from tqdm(
            pool.map(write, files, names), total=len(files), desc="images", unit="image", disable=not progress
        )
    finally:
        pool.shutdown(cancel_futures=True)


def picture_names(files: Sequence[Path], roots: Sequence[Path]) -> list[Path]:
    """A relative path without suffix for the picture of each file.

    It is the path below the first folder of `roots` that holds the file, otherwise the file's name. The suffix of an
    image is left out; a number is added where two files would have the same path.

    Args:
        files: the image files.
        roots: files and folders that were searched.
    """
    folders = [root for root in roots if root.is_dir()]
    taken: set[str] = set()
    numbers: defaultdict[str, Iterator[int]] = defaultdict(lambda: count(2))
    names = []
    for file in files:
        folder = next((folder for folder in folders if file.is_relative_to(folder)), file.parent)
        name = first = file.relative_to(folder).with_name(_stem(file.name))
        while str(name).casefold() in taken:  # some file systems ignore the case
            name = first.with_name(f"{first.name}-{next(numbers[str(first).casefold()])}")
        taken.add(str(name).casefold())
        names.append(name)
    return names


def _stem(name: str) -> str:
    """A file's name without the suffix of a format: the last number of "1.2.840.10008" is not one."""
    if name.lower().endswith(_DOUBLE_SUFFIX) and len(name) > len(_DOUBLE_SUFFIX):
        return name[: -len(_DOUBLE_SUFFIX)]
    path = Path(name)
    is_suffix = len(path.suffix) <= _MAX_SUFFIX_CHARS and not path.suffix[1:].isdecimal()
    return path.stem if is_suffix else name


def _write_pictures_of(file: Path, name: Path, options: PictureOptions, output: "_Output") -> WrittenPictures:
    """Write the pictures of a file up to the first that fails: a header may announce any number of frames."""
    written = WrittenPictures(file)
    place = ""
    try:
        image = open_image(file.read_bytes(), max_pixels=options.max_pixels)
        for rendering, suffix in _pictures(image, options):
            place = "" if rendering is options.rendering else f"frame {rendering.frame}: "
            png = encode_png(image.decode(rendering), options.standardization)
            output.write(name.with_name(name.name + suffix), png)
            written.count += 1
    except (InvalidInput, OutputError) as error:
        written.problem = f"{place}{error}"
    except OSError as error:
        written.problem = f"the file cannot be read: {error.strerror or type(error).__name__}"
    return written


def _pictures(image: ImageFile, options: PictureOptions) -> Iterator[tuple[Rendering, str]]:
    """The pictures of a file, each with the end of its name."""
    count = image.frame_count(options.rendering) if options.every_frame else 1
    if count == 1:
        yield options.rendering, ".png"
        return
    digits = len(str(count - 1))
    for frame in range(count):
        yield replace(options.rendering, frame=frame), f".frame-{frame:0{digits}}.png"


class _Output:
    """Writes the pictures, from several threads.

    Args:
        images: files that are never replaced.
        overwrite: whether other files that existed before are replaced.
    """

    def __init__(self, images: Sequence[Path], *, overwrite: bool) -> None:
        self._images, self._overwrite = {image.resolve() for image in images}, overwrite
        self._written: set[Path] = set()
        self._lock = threading.Lock()

    def write(self, path: Path, png: bytes) -> None:
        """Write a file, which gets its name when it is complete: a later run keeps a picture that exists.

        Raises:
            InvalidInput: the file must not be replaced.
            OutputError: the file cannot be written.
        """
        with output_errors_named(path):
            path.parent.mkdir(parents=True, exist_ok=True)
        self._claim(path.resolve())
        if not self._overwrite and os.path.lexists(path):
            raise InvalidInput("the picture exists already, and is only replaced with --overwrite")
        write_file(path, lambda partial: partial.write_bytes(png))

    def _claim(self, path: Path) -> None:
        with self._lock:
            if path in self._images:
                raise InvalidInput("the picture would replace an image that is read; choose another output folder")
            if path in self._written:
                raise InvalidInput("the picture would replace one of another image; rename one of the two images")
            self._written.add(path)
