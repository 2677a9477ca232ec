"""Comparison of the product's pictures with a judge's, and what may differ."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from math import inf
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

Case = TypeVar("Case")
Pictures = Sequence[NDArray[np.uint8]]
Expected = Sequence[NDArray[np.floating]]


@dataclass(frozen=True)
class Difference(Generic[Case]):
    """A known difference, or kind of file that a judge does not read.

    Args:
        reason: what the judge does, and the paragraph of the standard that says what is right.
        applies: whether a file is of that kind.
        at_most: the largest difference that this explains, in grey levels; default: any, also a file that is not read.
    """

    reason: str
    applies: Callable[[Case], bool]
    at_most: float = inf

    def explains(self, case: Case, unequal: "Unequal") -> bool:
        return self.applies(case) and unequal.size <= self.at_most


@dataclass(frozen=True)
class Unequal:
    """A difference between the product and a judge: its size in grey levels, and a text for people."""

    size: float
    description: str


@dataclass
class Verdicts(Generic[Case]):
    """The verdicts of one judge on all files.

    Args:
        differences: those that are known.
        counts: number of files per outcome: "equal", "refused" (by the product, by name), or "explained".
        wrong: a line per file that is none of these.
        used: reasons of the known differences that occurred.
    """

    differences: Sequence[Difference[Case]]
    counts: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    used: set[str] = field(default_factory=set)

    def add(self, case: Case, name: str, ours: Pictures | None, judge: Expected | None, tolerance: float) -> None:
        """Judge one file.

        Args:
            case: the file, for the known differences.
            name: the file, for people.
            ours: the product's pictures, one per frame; None if it refused the file, by a name that was asked for.
            judge: the judge's pictures, from 0 to 255; None if it does not read the file.
            tolerance: largest difference, in grey levels, that counts as equal.
        """
        if ours is None:
            self.counts["refused"] += 1
        elif (unequal := first_difference(ours, judge, tolerance)) is None:
            self.counts["equal"] += 1
        elif reasons := [known.reason for known in self.differences if known.explains(case, unequal)]:
            self.counts["explained"] += 1
            self.used.add(reasons[0])
        else:
            self.wrong.append(f"{name}: {unequal.description}")

    @property
    def unused(self) -> list[str]:
        """Reasons of known differences that no file has: these can be removed."""
        return [known.reason for known in self.differences if known.reason not in self.used]


def first_difference(ours: Pictures, judge: Expected | None, tolerance: float) -> Unequal | None:
    """The first difference of two lists of pictures that exceeds the tolerance; None if there is none."""
    if judge is None:
        return Unequal(inf, "not read by the judge")
    if len(ours) != len(judge):
        return Unequal(inf, f"{len(ours)} frames, not {len(judge)}")
    return next(_differences(ours, judge, tolerance), None)


def _differences(ours: Pictures, judge: Expected, tolerance: float) -> Iterator[Unequal]:
    for number, (mine, theirs) in enumerate(zip(ours, judge, strict=True)):
        if mine.shape != theirs.shape:
            yield Unequal(inf, f"frame {number} has the shape {mine.shape}, not {theirs.shape}")
            continue
        distance = np.nan_to_num(np.abs(mine - np.rint(theirs)))
        if distance.max() > tolerance:
            place = np.unravel_index(distance.argmax(), distance.shape)
            where = tuple(int(index) for index in place)
            yield Unequal(
                float(distance.max()),
                f"frame {number} differs by {distance.max():.0f} of 255, by {distance.mean():.2f} in the mean; "
                f"at {where} it is {mine[place]}, not {theirs[place]:.1f}",
            )
