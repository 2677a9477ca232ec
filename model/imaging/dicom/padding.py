"""Padding of a DICOM frame: where the values stand for no measurement (PS3.3 C.7.5.1.1.2)."""

from typing import Any

from model.imaging.dicom import elements
from model.imaging.dicom.windowing import stored_range
from model.imaging.windowing import Mask, Values

_FLOAT_PREFIXES = {4: "Float", 8: "DoubleFloat"}  # of the keywords, by bytes per pixel
_MAX_LOSS = 16  # of a padding value in lossy compression: padding lies in flat areas, which lose little


def padding_mask(stored: Values, dataset: Any, *, cells: Values | None, is_lossy: bool) -> Mask | None:
    """Where a frame is padding, by value or range, (H, W); None if nowhere or everywhere.

    Args:
        stored: stored values, (H, W).
        dataset: the frame's header.
        cells: the values with their unused bits, (H, W), unsigned. A padding value that does not fit in the stored bits
            is looked for there. Without cells it is nowhere.
        is_lossy: True also takes values near the padding value: within 1/256 of the stored range, and at most 16.
    """
    prefix = _FLOAT_PREFIXES[stored.dtype.itemsize] if stored.dtype.kind == "f" else ""
    bounds = elements.numbers(dataset, f"{prefix}PixelPaddingValue")[:1]
    if not bounds:
        return None
    bounds += elements.numbers(dataset, f"{prefix}PixelPaddingRangeLimit")[:1]
    if prefix:
        return _between(stored, bounds)
    integers = [int(bound) for bound in bounds]
    if stored.dtype.kind == "i":  # the padding of signed values is SS (PS3.6), which implicit VR reads as US
        integers = [bound - 2**16 if 2**15 <= bound < 2**16 else bound for bound in integers]
    limits = [int(limit) for limit in stored_range(stored, dataset)]
    allocated = max(8 * stored.dtype.itemsize, int(elements.number(dataset, "BitsAllocated", 0)))
    fitting = _fitting(integers, limits, allocated)
    if fitting is not None:
        return _between(stored, fitting, loss=min(_MAX_LOSS, (limits[1] - limits[0] + 1) // 256) if is_lossy else 0)
    if cells is None:
        return None
    kind = "i" if min(integers) < 0 else "u"
    return _between(cells.astype(f"{kind}{cells.dtype.itemsize}"), integers)


def _fitting(bounds: list[int], limits: list[int], allocated: int) -> list[int] | None:
    """The bounds as values that the stored bits can have; None if they do not fit.

    Some writers confuse signed and unsigned, in the allocated or in the stored bits.
    """
    low, high = limits
    for bits in (allocated, (high - low).bit_length()):
        wrapped = [(bound - low) % 2**bits + low for bound in bounds]
        written = bits == allocated or (min(bounds) >= 0 and max(bounds) < 2**bits)
        if written and max(wrapped) <= high:
            return wrapped
    return None


def _between(values: Values, bounds: list[Any], loss: int = 0) -> Mask | None:
    padding: Mask = (values >= min(bounds) - loss) & (values <= max(bounds) + loss)
    return padding if padding.any() and not padding.all() else None
