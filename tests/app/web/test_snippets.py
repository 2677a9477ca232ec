"""The copied request, really run: it gives the answer that the page shows, whatever the files are called."""

import ast
import base64
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from selenium.webdriver.common.keys import Keys

from model.engine import EmbeddingEngine
from tests.app.web.test_comparison import matrix
from tests.support.browser.page import Page
from tests.support.servers.thread_server import serving_in_thread

pytestmark = pytest.mark.browser
KEY = "key-of-the-tests-0123456789"
EVIL = 'it\'s "x"; $(touch pwned) `touch pwned` $HOME & %41 {} \u2028alert(1)<b>.png'
LABELS = ["ct chest", 'it\'s a "label" $HOME `id`', "@drawn.png", "x-ray hand;type=text/html", "a\\b"]
TIMEOUT_S = 30

# Runs a program that reads `file`, `files` and `key`, and answers with what it prints.
RUN = """
const [names, encoded, key, done] = arguments;
const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
const files = names.map((name, place) => new File([bytes(encoded[place])], name));
const [file] = files;
const console = { log: done };
(async () => { %s })().catch((error) => done(String(error)));
"""


def run(*command: str, folder: Path) -> str:
    environment = os.environ | {"API_KEY": KEY}
    ended = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


def answers_of(page: Page, fold: str, *files: Path) -> dict[str, Any]:
    """What the programs of a fold answer, by language, where the files of the user lie."""
    programs = {language: page.code(fold, language) for language in ("curl", "python", "javascript")}
    assert [language for language, program in programs.items() if KEY in program] == []
    encoded = [base64.b64encode(file.read_bytes()).decode() for file in files]
    script = RUN % programs["javascript"]
    return {
        "curl": json.loads(run("bash", "-euc", programs["curl"], folder=files[0].parent)),
        "Python": ast.literal_eval(run(sys.executable, "-c", programs["python"], folder=files[0].parent)),
        "JavaScript": page.driver.execute_async_script(script, [file.name for file in files], encoded, KEY),
    }


@pytest.fixture(scope="module")
def server(demonstration_engine: EmbeddingEngine) -> Iterator[str]:
    """The address of a server that wants a key."""
    with serving_in_thread(demonstration_engine, decode_workers=0, api_keys=KEY) as running:
        yield running.url


@pytest.fixture
def opened(page: Page, server: str) -> Page:
    page.open(server, health="Needs a key")
    page.type("#key", KEY)
    page.click("#key-form button")
    page.wait(lambda: page.text("#health") == "Healthy")
    return page


@pytest.mark.parametrize("name", ["ct.dcm", EVIL], ids=["a plain name", "an evil name"])
def test_the_programs_give_the_scores_of_the_page(opened: Page, files: Path, tmp_path: Path, name: str) -> None:
    folder = tmp_path / "of the user"
    folder.mkdir()
    (folder / name).write_bytes((files / "ct.dcm").read_bytes())
    opened.add(folder / name)
    opened.choose("#window", "lung")
    opened.ask()
    for label in LABELS:
        opened.type("#label", label)
        opened.press(Keys.ENTER)
    opened.settle()
    for language, (row,) in answers_of(opened, "#ask-code", folder / name).items():
        scores = {entry["label"]: entry["score"] for entry in row}
        assert scores == pytest.approx(opened.scores, abs=1e-5), language
    assert [path.name for path in folder.iterdir()] == [name]  # nothing in the name was run


@pytest.mark.parametrize("other", ["texts", "images"])
def test_the_programs_give_the_similarities_of_the_page(opened: Page, files: Path, tmp_path: Path, other: str) -> None:
    (tmp_path / EVIL).write_bytes((files / "drawn.png").read_bytes())
    opened.add(tmp_path / EVIL, files / "ct.dcm")
    opened.click("#film button", 1)
    opened.set("#frame-number", 2)  # the server would take another frame of the file
    saved = opened.saved("#save").rename(tmp_path / "ct-2.png")
    opened.click("#compare-tab")
    opened.set("#texts", "\n".join(LABELS))
    opened.click(f"[name=other][value={other}]")
    for language, answer in answers_of(opened, "#compare-code", tmp_path / EVIL, saved).items():
        np.testing.assert_allclose(np.array(answer["similarity"]), matrix(opened), atol=1e-5, err_msg=language)


def test_the_button_copies_the_program(opened: Page, files: Path) -> None:
    opened.add(files / "drawn.png")
    program = opened.code("#ask-code", "curl")
    opened.driver.execute_cdp_cmd(
        "Browser.grantPermissions", {"permissions": ["clipboardReadWrite", "clipboardSanitizedWrite"]}
    )
    opened.click("#ask-code [data-name=copy]")
    opened.wait(lambda: opened.text("#ask-code [data-name=copy]") == "Copied")
    script = "navigator.clipboard.readText().then(arguments[0], (error) => arguments[0](String(error)))"
    assert opened.driver.execute_async_script(script) == program
