"""Structure of a data set beside its picture: functional groups, lengths of sequences, elements that nobody knows."""

from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.tag import Tag

_PLACES = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
}
_PRIVATE_CREATOR, _PRIVATE_SEQUENCE, _PRIVATE_VALUE = Tag(0x0009, 0x0010), Tag(0x0009, 0x1001), Tag(0x0029, 0x1002)
_TRAILING_BYTES = 250


def move_to_groups(dataset: Dataset, groups: str, frames: int) -> None:
    """Move rescaling and window into functional groups (PS3.3 C.7.6.16.2)."""
    group = Dataset()
    for sequence, names in _PLACES.items():
        item = Dataset()
        for name in names:
            if name in dataset:
                item[name] = dataset[name]
                del dataset[name]
        if len(item):
            setattr(group, sequence, Items([item]))
    if groups == "shared":
        dataset.SharedFunctionalGroupsSequence = Items([group])
    else:
        dataset.SharedFunctionalGroupsSequence = Items([Dataset()])
        dataset.PerFrameFunctionalGroupsSequence = Items([group] * frames)


def restructure(dataset: Dataset, structure: str) -> None:
    """Add what the structure asks for; the picture remains."""
    dataset.ReferencedImageSequence = Items([_reference("1.2.3"), _reference("1.2.4")])
    if structure == "undefined lengths":
        for element in dataset.iterall():
            if element.VR == "SQ":
                element.is_undefined_length = True
                for item in element.value:
                    item.is_undefined_length_sequence_item = True
    elif structure == "unknown elements":
        dataset.add(DataElement(_PRIVATE_CREATOR, "LO", "NOBODY"))
        nested = Dataset()
        nested.Rows, nested.PixelData = 7, b"\0\0"
        nested["PixelData"].VR = "OW"
        dataset.add(DataElement(_PRIVATE_SEQUENCE, "SQ", Items([nested])))
        dataset.add(DataElement(Tag(0x0029, 0x0010), "LO", "NOBODY"))
        dataset.add(DataElement(_PRIVATE_VALUE, "UN", bytes(range(256)) * 4))
    elif structure == "trailing padding":
        dataset.DataSetTrailingPadding = bytes(_TRAILING_BYTES)


def _reference(uid: str) -> Dataset:
    item, purpose = Dataset(), Dataset()
    item.ReferencedSOPInstanceUID = uid
    purpose.CodeMeaning, purpose.Rows = "a nested item", 3
    item.PurposeOfReferenceCodeSequence = Items([purpose])
    return item
