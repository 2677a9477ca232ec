"""Declarations of options: what a command line says about the fields of an options dataclass.

    @dataclass(frozen=True)
    class TrainingOptions:
        batch_size: int = field(default=64, metadata=flag("Images per batch", least=1))

The command line makes its flags from these fields. This module imports nothing heavy, so that `--help` stays instant.
"""

import operator
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

_KEY = "flag"


@dataclass(frozen=True)
class Flag:
    """The flag of one field.

    Attributes:
        help: a complete phrase that starts with a noun or a verb.
        name: the flag as it is typed, `--on/--off` for a pair; empty derives it from the field's name.
        metavar: name of the value in the help text; empty derives it from the field's type.
        choices: the allowed values; empty allows all.
        least: smallest allowed number; None sets no bound.
        above: number that the value must exceed, instead of `least`.
        most: largest allowed number.
        below: number that the value must stay under, instead of `most`.
        comma_separated: whether several values are given in one argument; False repeats the flag.
        path: whether the value is an existing file, or a folder that may still be missing; empty if it is no path.
    """

    help: str
    name: str = ""
    metavar: str = ""
    choices: tuple[str, ...] = ()
    least: float | None = None
    above: float | None = None
    most: float | None = None
    below: float | None = None
    comma_separated: bool = False
    path: Literal["", "file", "folder"] = ""

    @property
    def bounds(self) -> list[tuple[str, float, Callable[[float, float], bool]]]:
        """The bounds that are set: in words, as a number, and the comparison that a value must fulfil."""
        named = (
            ("at least", self.least, operator.ge),
            ("above", self.above, operator.gt),
            ("at most", self.most, operator.le),
            ("below", self.below, operator.lt),
        )
        return [(words, bound, holds) for words, bound, holds in named if bound is not None]

    def problem(self, value: float) -> str:
        """What the number must be, if it is outside the bounds; empty if it is inside."""
        if all(holds(value, bound) for _, bound, holds in self.bounds):
            return ""
        return " and ".join(f"{words} {bound:g}" for words, bound, _ in self.bounds)


def flag(help: str, **details: Any) -> Mapping[str, Flag]:
    """Metadata of a dataclass field that is also a flag; `details` are attributes of `Flag`."""
    return {_KEY: Flag(help, **details)}


def flag_of(metadata: Mapping[Any, Any]) -> Flag | None:
    """The flag that a field's metadata declares; None if it declares none."""
    found: Flag | None = metadata.get(_KEY)
    return found


def numbers_out_of_range(options: Any) -> Iterator[str]:
    """One sentence per number of an options dataclass that is outside its declared bounds."""
    for field in fields(options):
        declared, value = flag_of(field.metadata), getattr(options, field.name)
        if declared and isinstance(value, int | float) and (needed := declared.problem(value)):
            yield f"{field.name} is {value}; it must be {needed}"
