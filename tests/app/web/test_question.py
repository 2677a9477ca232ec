"""Labels as chips, ready sets, loaded heads, and their scores as bars."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import Select

from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.engine import EmbeddingEngine
from model.heads.head import Head
from tests.app.api.classify.made_heads import linear_head
from tests.support.browser.page import Page
from tests.support.servers.thread_server import serving_app_in_thread

pytestmark = pytest.mark.browser


def scored(server: str, file: Path, **params: Any) -> dict[str, float]:
    """The scores of a file as /classify answers them, highest first."""
    fields = {name: value if isinstance(value, str) else json.dumps(value) for name, value in params.items()}
    (row,) = httpx.post(f"{server}/classify", data=fields, files={"files": file.read_bytes()}).json()
    return {entry["label"]: entry.get("score", entry.get("value")) for entry in row}


def assert_bars(page: Page, wanted: dict[str, float]) -> None:
    """The bars have the order and the numbers of the server's answer."""
    assert list(page.scores) == list(wanted)
    assert page.scores == pytest.approx(wanted, abs=1e-5)


@pytest.fixture
def opened(page: Page, server: str, files: Path) -> Page:
    page.open(server)
    page.add(files / "ct.dcm")
    return page


def test_own_labels_are_typed_pasted_and_removed(opened: Page, server: str, files: Path) -> None:
    opened.ask("ct chest", "mri breast", "x-ray hand")
    assert opened.chips == ["ct chest", "mri breast", "x-ray hand"]
    assert_bars(opened, scored(server, files / "ct.dcm", labels=opened.chips))

    opened.type("#label", f"chest, abdomen and pelvis{Keys.ENTER}")
    assert opened.chips[3:] == ["chest, abdomen and pelvis"]
    assert opened.find("#label").get_property("value") == ""
    opened.paste("#label", "one line\r\n another\n")
    assert opened.chips[4:] == ["one line", "another"]
    opened.click("[aria-label='Remove mri breast']")
    assert opened.chips == ["ct chest", "x-ray hand", "chest, abdomen and pelvis", "one line", "another"]
    assert_bars(opened, scored(server, files / "ct.dcm", labels=opened.chips))


def test_bars_are_as_long_as_their_scores(opened: Page) -> None:
    opened.ask("ct chest", "x-ray hand")
    lengths = "return [...document.querySelectorAll('.bar')].map(e => e.offsetWidth / e.parentElement.offsetWidth)"
    opened.wait(lambda: opened.js(lengths) == pytest.approx(list(opened.scores.values()), abs=0.02))


def test_without_labels_the_page_asks_for_one(opened: Page, server: str, files: Path) -> None:
    opened.ask()
    assert opened.scores == {}
    assert opened.text("#scores-note") == "Add at least one label."
    opened.ask("ct chest", "x-ray hand")
    assert_bars(opened, scored(server, files / "ct.dcm", labels=["ct chest", "x-ray hand"]))


def test_the_page_begins_with_four_modalities_and_says_what_the_demonstration_model_knows(opened: Page) -> None:
    assert opened.chips == ["computed tomography", "mri", "x-ray", "ultrasound"]
    opened.wait(lambda: "Answered" in opened.text("#scores-note"))
    assert "learned only those of the ready set “Labels of the demonstration model”" in opened.text("#scores-note")
    opened.choose("#set", "set demonstration-model")
    opened.wait(lambda: "learned only" not in opened.text("#scores-note"))


def test_every_ready_set_is_offered_and_asked_with_its_texts(opened: Page, server: str, files: Path) -> None:
    sets = httpx.get(f"{server}/labels").json()["sets"]
    offered = [option.get_attribute("value") for option in Select(opened.find("#set")).options]
    assert offered == ["own", *(f"set {each['name']}" for each in sets)]
    entry = next(each for each in sets if "present" in next(iter(each["labels"].values())))
    opened.choose("#set", f"set {entry['name']}")
    assert opened.chips == list(entry["labels"])
    assert opened.text("#set-note").startswith(entry["question"])
    if opened.is_shown("#all-scores"):
        opened.click("#all-scores")
    assert_bars(opened, scored(server, files / "ct.dcm", labels=entry["labels"]))
    opened.click("#multi")  # the set has texts that state the absence
    assert_bars(opened, scored(server, files / "ct.dcm", labels=entry["labels"], multi_label=True))
    assert "Each label is scored by itself" in opened.text("#scores-note")


def test_a_long_answer_is_folded(opened: Page) -> None:
    opened.choose("#set", "set demonstration-model")
    opened.wait(lambda: len(opened.scores) == 8)
    opened.click("#all-scores")
    assert len(opened.scores) == len(opened.chips) == 17


def test_the_text_around_the_labels(opened: Page, server: str, files: Path) -> None:
    opened.ask("chest", "hand")
    opened.click("#template-control summary")
    opened.set("#template", "x-ray {}")
    assert_bars(opened, scored(server, files / "ct.dcm", labels=["chest", "hand"], template="x-ray {}"))
    opened.set("#template", "x-ray")
    assert "{}" in opened.text("#ask-error")
    assert opened.scores == {}


def test_scores_follow_the_frame_and_the_window(opened: Page, server: str, files: Path) -> None:
    labels = ["ct chest", "x-ray hand", "dermoscopy skin nevus"]
    opened.ask(*labels)
    before = opened.scores
    opened.choose("#window", "bone")
    opened.set("#frame-number", 4)
    assert opened.scores != before
    assert_bars(opened, scored(server, files / "ct.dcm", labels=labels, dicom_window="bone", frame="4"))


@pytest.fixture(scope="module")
def heads_server(demonstration_engine: EmbeddingEngine) -> Iterator[str]:
    """The address of a server with a head that makes calls, and one that predicts a number."""
    low, high = ({"threshold": bound} for bound in (0.0, 1.0))
    thresholds = {
        "nodule": {"sensitivity_90": low, "youden": low},
        "effusion": {"sensitivity_90": low, "youden": high},
        "mass": {"sensitivity_90": high, "youden": high},
    }
    findings = linear_head(demonstration_engine, "sigmoid", ("nodule", "effusion", "mass"), thresholds=thresholds)
    age = linear_head(demonstration_engine, "identity", ("age",))
    loaded = LoadedModel(demonstration_engine, 0.0, {"findings": findings, "age": age})
    with serving_app_in_thread(create_app(Settings(decode_workers=0), loaded)) as server:
        yield server.url


def test_heads_answer_with_their_calls_or_with_a_number(page: Page, heads_server: str, files: Path) -> None:
    page.open(heads_server)
    page.add(files / "ct.dcm")
    page.choose("#set", "head findings")
    assert_bars(page, scored(heads_server, files / "ct.dcm", head="findings"))
    calls = dict(zip(page.scores, page.texts("#scores .call"), strict=True))
    assert calls == {"nodule": "positive", "effusion": "possible", "mass": "negative"}
    assert page.chips == ["nodule", "effusion", "mass"]
    assert not page.is_shown("#own")

    page.choose("#set", "head age")
    assert_bars(page, scored(heads_server, files / "ct.dcm", head="age"))
    assert page.all("#scores .bar") == []
    assert "predicts a number" in page.text("#scores-note")


def test_a_head_is_chosen_at_the_start_only_if_it_is_the_servers_default(
    page: Page, heads_server: str, demonstration_engine: EmbeddingEngine
) -> None:
    page.open(heads_server)
    assert Select(page.find("#set")).first_selected_option.text == "my own labels"
    head = linear_head(demonstration_engine, "softmax")
    app = create_app(Settings(decode_workers=0), LoadedModel(demonstration_engine, 0.0, {"only": head}))
    with serving_app_in_thread(app) as server:
        page.open(server.url)
        assert Select(page.find("#set")).first_selected_option.text == "only"


def test_the_keyboard_adds_and_removes_labels_without_losing_its_place(opened: Page) -> None:
    opened.ask("one", "two", "three")
    assert opened.js("return document.activeElement.id") == "label"
    opened.js("arguments[0].focus()", opened.find("[aria-label='Remove two']"))
    opened.press(Keys.ENTER)
    assert opened.js("return document.activeElement.ariaLabel") == "Remove three"
    opened.press(Keys.ENTER)
    assert opened.js("return document.activeElement.ariaLabel") == "Remove one"
    opened.press(Keys.ENTER)
    assert opened.js("return document.activeElement.id") == "label"


def test_what_is_asked_stays_while_the_server_is_away_if_it_can(
    page: Page, demonstration_engine: EmbeddingEngine, files: Path
) -> None:
    head = linear_head(demonstration_engine, "softmax")

    def application(heads: dict[str, Head]) -> FastAPI:
        return create_app(Settings(decode_workers=0), LoadedModel(demonstration_engine, 0.0, heads))

    with serving_app_in_thread(application({"findings": head})) as server:
        page.open(server.url)
        page.add(files / "ct.dcm")
        page.choose("#set", "set modality")
        page.click("#chips button")
        kept = page.chips
    page.choose("#window", "bone")
    assert page.text("#health") == "Not reachable"
    with serving_app_in_thread(application({"findings": head}), server.address[1]):
        page.wait(lambda: page.text("#health") == "Healthy")
        assert page.chips == kept
        assert page.find("#set").get_property("value") == "set modality"
        page.choose("#set", "head findings")
    page.choose("#window", "lung")
    with serving_app_in_thread(application({}), server.address[1]):  # without the head
        page.wait(lambda: page.text("#health") == "Healthy")
        assert Select(page.find("#set")).first_selected_option.text == "my own labels"
        assert page.chips == kept
        page.settle()
