"""The label catalogue for clients: ready sets of labels, in the form of `labels` of `/classify`."""

import asyncio
from functools import cache
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from app.api.dependencies import ServiceDependency
from app.api.documentation.answers import json_answer
from model.checkpoints.release_folder import DEMO_MODEL

router = APIRouter(tags=["classification"])
_EXAMPLE = {
    "name": "ct-exam",
    "title": "CT exam",
    "modality": "CT",
    "question": "Which CT exam does the slice belong to?",
    "source": "written for this catalogue",
    "validated": False,
    "labels": {"CT of the head": ["computed tomography of the head"]},
}


class LabelSet(BaseModel):
    """One set of labels."""

    name: str = Field(description="unique; the commands take it, except for `demonstration-model`")
    title: str
    modality: str = Field(description="the technique of the images that the question is about; any for all")
    question: str = Field(description="what is asked about an image")
    source: str = Field(description="where the classes are from")
    validated: bool = Field(description="whether the wording was measured on labelled images of these classes")
    labels: dict[str, Any] = Field(description="from each label to its texts, as `labels` of `/classify` takes it")


class LabelCatalogue(BaseModel):
    """The answer of `GET /labels`."""

    sets: list[LabelSet]


@router.get(
    "/labels",
    response_model=LabelCatalogue,
    summary="Ready sets of labels for /classify",
    responses=json_answer("The sets of the catalogue.", one_set={"sets": [_EXAMPLE]}),
)
async def labels(service: ServiceDependency) -> Any:
    """List the label catalogue. If the demonstration model is served, the labels that it learned are the first set."""
    return {"sets": await asyncio.to_thread(_sets, service.is_demonstration)}


@cache
def _sets(with_demonstration: bool) -> list[dict[str, Any]]:
    return [_demonstration_set(), *_catalogue()] if with_demonstration else _catalogue()


def _catalogue() -> list[dict[str, Any]]:
    from model.heads.catalogue import find_catalogues

    return [
        {
            "name": entry.name,
            "title": entry.title,
            "modality": entry.modality,
            "question": entry.question,
            "source": entry.source,
            "validated": entry.validated,
            "labels": {
                label: {"present": texts.present, "absent": texts.absent} if texts.absent else texts.present
                for label, texts in entry.prompts.items()
            },
        }
        for entry in find_catalogues()
    ]


def _demonstration_set() -> dict[str, Any]:
    from model.data.label_texts import read_label_texts

    labels = read_label_texts(DEMO_MODEL / "label_texts.yaml")
    return {
        "name": "demonstration-model",
        "title": "Labels of the demonstration model",
        "modality": "any",
        "question": f"Which of the {len(labels)} labels that the demonstration model learned fits the image?",
        "source": "the training images of the demonstration model",
        "validated": True,  # each label as its only text: model/demo_model/README.md
        "labels": {label: [label] for label in labels},
    }
