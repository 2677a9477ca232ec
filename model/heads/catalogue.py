"""The label catalogue: prompt files for common questions, in `labels/`. Their wording is not validated."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from model.data.text_lines import read_yaml
from model.errors import HeadError
from model.evaluation.prompts import LabelPrompts, Prompts, as_prompts

FOLDER = Path(__file__).parent / "labels"


@dataclass(frozen=True)
class Catalogue:
    """One file of the catalogue.

    Attributes:
        name: the name of the file without its suffix, under which commands take it.
        title: what the labels are.
        modality: the technique of the images that the question is about; "any" for all.
        question: what is asked about an image.
        source: where the classes are from.
        validated: whether the wording was measured on labelled images of these classes with MedImageInsight.
        prompts: the labels and their texts; a search leaves out those that do not match.
        label_count: number of labels in the file.
    """

    name: str
    title: str
    modality: str
    question: str
    source: str
    validated: bool
    prompts: Prompts
    label_count: int

    @property
    def wording(self) -> str:
        """What is known about the quality of the texts."""
        return "validated wording" if self.validated else "unvalidated wording"


def catalogue_files() -> dict[str, Path]:
    """The files of the catalogue by name, sorted."""
    return {file.stem: file for file in sorted(FOLDER.rglob("*.yaml"), key=lambda file: file.stem)}


def read_catalogue(name: str) -> Catalogue:
    """Read one file of the catalogue.

    Raises:
        HeadError: the catalogue does not have a file of this name; the message lists the names that it has.
    """
    files = catalogue_files()
    if name not in files:
        raise HeadError(f"the label catalogue does not have this name; its names are {', '.join(files)}")
    document = read_yaml(files[name])
    prompts = as_prompts(document["prompts"])
    return Catalogue(name, **{**document, "prompts": prompts}, label_count=len(prompts))


def find_catalogues(*, modality: str = "", search: re.Pattern[str] | None = None) -> Sequence[Catalogue]:
    """The files of the catalogue that fit, sorted by name.

    Args:
        modality: the modality of the images, in any case; "", the default, takes every modality.
        search: regular expression. A file whose name, title or question matches keeps all labels. Other files keep
            only labels that match, or whose texts for their presence match. None, the default, keeps everything.
    """
    every = map(read_catalogue, catalogue_files())
    fitting = [entry for entry in every if not modality or entry.modality.lower() == modality.lower()]
    if search is None:
        return fitting
    return [found for entry in fitting if (found := _matching(entry, search)).prompts]


def _matching(entry: Catalogue, search: re.Pattern[str]) -> Catalogue:
    """The entry with the labels that match; with all of them if its name, title or question matches."""
    if any(map(search.search, (entry.name, entry.title, entry.question))):
        return entry

    def fits(label: str, texts: LabelPrompts) -> bool:
        return any(map(search.search, (label, *texts.present)))

    return replace(entry, prompts={label: texts for label, texts in entry.prompts.items() if fits(label, texts)})
