"""Slow answers and failures: the page says in words what is wrong, where it is wrong, and recovers."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from fastapi import Request, Response
from fastapi.responses import HTMLResponse
from starlette.middleware.base import RequestResponseEndpoint

import app.inference.model_loader
from app.inference.model_loader import LoadedModel
from app.main import create_app
from app.settings import Settings
from model.checkpoints.release_folder import DEMO_MODEL
from model.engine import EmbeddingEngine
from tests.app.api.classify.made_heads import linear_head
from tests.support.browser.chromium import network
from tests.support.browser.page import Page
from tests.support.held_engine import HeldEngine
from tests.support.servers.gate import Gate
from tests.support.servers.thread_server import serving_app_in_thread, serving_in_thread

pytestmark = pytest.mark.browser
FOREIGN = "The answer is not from this server; a proxy may want you to sign in."
LOST = "The server does not answer; check that it is running and reachable."
SKELETONS = "#scores .skeleton"


@contextmanager
def gated(engine: EmbeddingEngine) -> Iterator[tuple[str, Gate]]:
    """The address of a server, and the gate before it."""
    application = create_app(Settings(decode_workers=0), LoadedModel(engine, imports_s=0.0))
    gate = Gate(application)
    with serving_app_in_thread(application) as server:
        yield server.url, gate


def choose_file(page: Page, file: Path) -> None:
    """Choose a file without waiting for any answer."""
    page.find("#files").send_keys(str(file))
    page.wait(lambda: file.name in page.films)


def ask_at_once(page: Page, *labels: str) -> None:
    """Ask for labels without waiting for the answer."""
    page.js("for (let b; (b = document.querySelector('#chips button')); ) b.click()")
    page.type_labels(*labels)


def test_slow_answers_leave_skeletons_and_are_announced_as_busy(
    page: Page, demonstration_engine: EmbeddingEngine, files: Path
) -> None:
    with gated(demonstration_engine) as (url, gate):
        page.open(url)
        with gate.holding("/render", "/classify", "/similarity"):
            choose_file(page, files / "drawn.png")
            page.wait(lambda: len(page.all(SKELETONS)) == len(page.chips))
            gate.wait_for(2)
            assert page.find("#scores").get_attribute("aria-busy") == "true"
            assert page.find("#frame").get_attribute("aria-busy") == "true"
        page.settle()
        assert set(page.scores) == set(page.chips)
        assert page.all(SKELETONS) == []
        with gate.holding("/similarity"):
            page.find("#compare-tab").click()
            gate.wait_for(1)
            assert page.find("#matrix").get_attribute("aria-busy") == "true"
            assert page.find("#matrix").size["height"] > 50  # a skeleton
        page.settle()
        assert page.all("#matrix td")


def test_a_late_answer_never_replaces_a_newer_one(
    page: Page, demonstration_engine: EmbeddingEngine, files: Path
) -> None:
    with gated(demonstration_engine) as (url, gate):
        page.open(url)
        page.add(files / "ct.dcm")
        with gate.holding("/classify"):
            ask_at_once(page, "old one", "old two")
            gate.wait_for(1)
            ask_at_once(page, "new one", "new two", "new three")
            gate.wait_for(2)
            gate.let_pass(1)
            page.wait(lambda: "new three" in page.scores)
            newer = page.scores
            gate.let_pass(0)
        with gate.holding("/render"):
            page.js("document.querySelector('#window').value = 'bone'")
            page.js("document.querySelector('#window').dispatchEvent(new Event('change', { bubbles: true }))")
            gate.wait_for(1)
            page.js("document.querySelector('#window').value = ''")
            page.js("document.querySelector('#window').dispatchEvent(new Event('change', { bubbles: true }))")
            gate.wait_for(2)
            gate.let_pass(1)
            page.settle()
            picture = page.picture()
            gate.let_pass(0)
        page.settle()
        assert page.scores == newer
        assert page.picture() == picture


def test_labels_that_come_back_during_an_answer_are_asked_again(
    page: Page, demonstration_engine: EmbeddingEngine, files: Path
) -> None:
    with gated(demonstration_engine) as (url, gate):
        page.open(url)
        page.add(files / "drawn.png")
        with gate.holding("/classify"):
            ask_at_once(page, "ct chest", "x-ray hand")
            gate.wait_for(1)
            page.js("for (let b; (b = document.querySelector('#chips button')); ) b.click()")
            page.wait(lambda: any(event["params"].get("canceled") for event in network(page.driver)))
            assert page.text("#scores-note") == "Add at least one label."
        page.ask("ct chest", "x-ray hand")
        assert set(page.scores) == {"ct chest", "x-ray hand"}


def test_an_unreadable_file_does_not_disturb_a_readable_one(
    page: Page, server: str, files: Path, tmp_path: Path
) -> None:
    (tmp_path / "broken.dcm").write_bytes(b"this is no picture")
    page.open(server)
    page.add(tmp_path / "broken.dcm", files / "drawn.png")
    assert page.text("#render-error").startswith("The image cannot be read as any of DICOM,")
    assert page.text("#ask-error").startswith("The image cannot be read as any of DICOM,")
    assert page.text("#film li:first-child") == "broken.dcm: not readable"
    page.click("#film button", 1)
    assert page.scores
    assert page.text("#render-error") == page.text("#ask-error") == ""


def test_a_file_that_is_too_large_is_not_sent(
    page: Page, demonstration_engine: EmbeddingEngine, files: Path, tmp_path: Path
) -> None:
    (tmp_path / "large.dcm").write_bytes(bytes(60_000))
    with serving_in_thread(demonstration_engine, decode_workers=0, max_body_bytes=50_000) as server:
        page.open(server.url)
        page.find("#files").send_keys(f"{tmp_path / 'large.dcm'}\n{files / 'drawn.png'}")
        wanted = "Files larger than the server's limit of 0.048 MiB were left out: 1."
        page.wait(lambda: page.text("#drop-error") == wanted)
        page.settle()
        assert page.films == ["drawn.png"]


def test_a_busy_server_is_named_and_asked_again(page: Page, demonstration_engine: EmbeddingEngine, files: Path) -> None:
    engine = HeldEngine(demonstration_engine)
    with serving_in_thread(engine, decode_workers=0, queue_size=1, max_rows=1) as server:
        page.open(server.url)
        with engine.holding():
            choose_file(page, files / "drawn.png")
            page.wait(lambda: engine.texts_seen > 0)  # the only row that the server takes is on the device
            choose_file(page, files / "photo.jpg")
            page.wait(lambda: "try again later" in page.text("#render-error"))
        page.settle()
        page.click("#retry")
        page.settle()
        assert page.scores
        assert page.text("#ask-error") == page.text("#render-error") == ""


def test_a_server_that_has_stopped_is_named_and_found_again(
    page: Page, demonstration_engine: EmbeddingEngine, files: Path
) -> None:
    with serving_in_thread(demonstration_engine, decode_workers=0) as server:
        page.open(server.url)
        page.add(files / "ct.dcm")
    page.choose("#window", "bone")
    assert [page.text(css) for css in ("#render-error", "#ask-error", "#notice")] == [LOST] * 3
    assert page.text("#health") == "Not reachable"
    application = create_app(Settings(decode_workers=0), LoadedModel(demonstration_engine, imports_s=0.0))
    with serving_app_in_thread(application, server.address[1]):
        page.wait(lambda: page.text("#health") == "Healthy")
        page.wait(lambda: page.scores)
        page.settle()
        assert [page.text(css) for css in ("#render-error", "#ask-error")] == ["", ""]
        assert not page.is_shown("#notice")


def test_the_page_waits_while_the_model_is_being_loaded(
    page: Page, demonstration_engine: EmbeddingEngine, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    may_load = threading.Event()

    def load_when_allowed(settings: Settings) -> LoadedModel:
        assert may_load.wait(30)
        return LoadedModel(demonstration_engine, imports_s=0.0)

    monkeypatch.setattr(app.inference.model_loader, "load_engine", load_when_allowed)
    with serving_app_in_thread(create_app(Settings(decode_workers=0))) as server:
        try:
            page.open(server.url, health="Starting")
            assert "loading" in page.text("#notice") or "loaded" in page.text("#notice")
            page.add(files / "drawn.png")
            assert page.text("#render-error") == page.text("#notice")
        finally:
            may_load.set()
        page.wait(lambda: page.text("#health") == "Healthy")
        page.wait(lambda: page.scores)
        assert page.text("#render-error") == ""
        assert not page.is_shown("#notice")


def test_without_a_text_encoder_heads_answer_and_labels_are_not_offered(page: Page, files: Path) -> None:
    engine = EmbeddingEngine.load(DEMO_MODEL, device="cpu", image_only=True)
    reason = "This server has loaded no text encoder, so it cannot score labels that are given as texts."
    with serving_in_thread(engine, decode_workers=0, image_only=True) as server:
        page.open(server.url)
        page.add(files / "ct.dcm", files / "drawn.png")
        assert page.text("#scores-note") == f"{reason} It has loaded no head either."
        assert page.scores == {}
        page.click("#compare-tab")
        assert len(page.all("#matrix tbody tr")) == 2  # with each other
        assert not page.find("[name=other][value=texts]").is_enabled()
    heads = {"findings": linear_head(engine, "softmax"), "others": linear_head(engine, "sigmoid")}
    application = create_app(Settings(decode_workers=0, image_only=True), LoadedModel(engine, 0.0, heads))
    with serving_app_in_thread(application) as server:
        page.open(server.url)
        page.add(files / "ct.dcm")
        assert set(page.scores) == {"nodule", "effusion"}
        assert reason in page.text("#set-note")
        assert page.texts("#set option") == ["findings", "others"]


def test_a_proxy_that_wants_a_sign_in_is_named_and_not_asked_without_a_pause(
    page: Page, demonstration_engine: EmbeddingEngine, files: Path
) -> None:
    application = create_app(Settings(decode_workers=0), LoadedModel(demonstration_engine, imports_s=0.0))
    signed_out, asked = {"/info", "/render"}, []

    @application.middleware("http")
    async def proxy(request: Request, call_next: RequestResponseEndpoint) -> Response:
        asked.append(request.url.path)
        return HTMLResponse("Sign in") if request.url.path in signed_out else await call_next(request)

    with serving_app_in_thread(application) as server:
        page.open(server.url, health="Not reachable")
        assert page.text("#notice") == FOREIGN
        page.add(files / "drawn.png")
        assert page.text("#render-error") == FOREIGN
        assert asked.count("/info") < 3
        signed_out.clear()
        page.wait(lambda: page.text("#health") == "Healthy")
        page.settle()
        assert page.text("#render-error") == ""
