"""Functional groups of enhanced DICOM objects (PS3.3 C.7.6.16): the header elements that belong to one frame."""

import threading
from contextlib import suppress
from typing import Any

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from model.errors import ImageDecodeError
from model.imaging.dicom.parsing import tags
from model.imaging.dicom.sequences import Items
from model.imaging.dicom.streams import MAX_READS, StepLimit

MAX_FRAME_READS = 500  # for about 200 elements of a frame; those of the standard are about 60
# Pixel Value Transformation, and Frame VOI LUT with or without tables (PS3.3 C.7.6.16.2.9, .10 and .10b).
_GROUPS = ("PixelValueTransformationSequence", "FrameVOILUTSequence")
_TABLES = ("ModalityLUTSequence", "VOILUTSequence")
_ELEMENTS = ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth", "VOILUTFunction", *_TABLES)
_TABLE_ELEMENTS = ("LUTDescriptor", "LUTData")


class FunctionalGroups:
    """The headers of a file's frames. It may be used by several threads at once.

    Enhanced objects have in their functional groups what other objects have at the top level. What all frames share is
    read once, and so are the places of the frames' items. All of that may take `MAX_READS` steps per file, and
    `MAX_FRAME_READS` more per frame that is read.

    Args:
        dataset: the file's header.
    """

    def __init__(self, dataset: Any) -> None:
        self._dataset = dataset
        self._lock = threading.Lock()
        self._limit = StepLimit(MAX_READS)
        self._frames = Items(_element(dataset, "PerFrameFunctionalGroupsSequence"), _GROUPS, self._limit)
        self._shared: dict[int, Any] | None = None

    def header(self, index: int) -> Any:
        """The file's header with the rendering elements of one frame's groups, which replace shared ones.

        Raises:
            ImageDecodeError: the groups cannot be read.
            ImageTooLarge: they have too many elements.
        """
        with self._lock:
            self._limit.left += MAX_FRAME_READS
            if self._shared is None:
                self._shared = self._read_shared()
            header = Dataset({**self._shared, **self._read_groups(self._frames.read(index))})
        header.set_original_encoding(*self._dataset.original_encoding)
        return header

    def _read_shared(self) -> dict[int, Any]:
        groups = Items(_element(self._dataset, "SharedFunctionalGroupsSequence"), _GROUPS, self._limit).read(0)
        return self._with_tables({**dict(self._dataset.items()), **self._read_groups(groups)})

    def _read_groups(self, groups: Any) -> dict[int, Any]:
        """The rendering elements in an item of functional groups; none if there is no item."""
        found: dict[int, Any] = {}
        for name in _GROUPS if groups else ():
            group = Items(_element(groups, name), _ELEMENTS, self._limit).read(0)
            if group is not None:
                found |= {tag: group.get_item(tag, keep_deferred=True) for tag in tags(_ELEMENTS) if tag in group}
        return self._with_tables(found)

    def _with_tables(self, elements: dict[int, Any]) -> dict[int, Any]:
        """The elements, with what rendering needs of the first modality and VOI LUT read: frames may share a table.

        A table that cannot be read stays as it is, since rendering may not need it, and otherwise refuses it.
        """
        for tag in elements.keys() & tags(_TABLES):
            with suppress(ImageDecodeError):
                table = Items(elements[tag], _TABLE_ELEMENTS, self._limit).read(0)
                if table is not None:
                    elements[tag] = DataElement(tag, "SQ", Sequence([table]))
        return elements


def _element(dataset: Any, keyword: str) -> Any:
    return dataset.get_item(keyword, keep_deferred=True)
