"""What a release is made of: one version, notes, package data, and workflows that use pinned actions."""

import glob
import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.pages import ROOT

NOTES = ".ci/release_notes.py"
PROJECTS = ("pyproject.toml", "client/pyproject.toml")
WORKFLOWS: dict[str, Any] = {path.name: yaml.safe_load(path.read_text()) for path in ROOT.glob(".github/workflows/*")}
CHANGELOG = """# Changelog

## 1.3.0 (unreleased)

- New.

## 1.2.0 (2026-12-01)

- Faster.
- Smaller.

## 1.1.0 (2026-11-01)
"""


def notes(folder: Path, tag: str, *versions: str) -> subprocess.CompletedProcess[str]:
    """Run the script on a checkout whose server and client have these versions."""
    for name, version in zip(PROJECTS, versions, strict=True):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(f'[project]\nversion = "{version}"\n')
    (folder / "CHANGELOG.md").write_text(CHANGELOG)
    (folder / NOTES).parent.mkdir()
    shutil.copy(ROOT / NOTES, folder / NOTES)
    return subprocess.run([sys.executable, NOTES, tag], cwd=folder, capture_output=True, text=True, check=False)


def test_the_notes_of_a_release_are_its_section_of_the_changelog(tmp_path: Path) -> None:
    assert notes(tmp_path, "v1.2.0", "1.2.0", "1.2.0").stdout == "- Faster.\n- Smaller.\n"


@pytest.mark.parametrize(
    ("tag", "server", "client", "reason"),
    [
        ("v1.2.0", "1.2.1", "1.2.0", "pyproject.toml has version 1.2.1, whose tag is v1.2.1, not v1.2.0.\n"),
        ("v1.2.0", "1.2.0", "1.1.0", "client/pyproject.toml has version 1.1.0, whose tag is v1.1.0, not v1.2.0.\n"),
        ("1.2.0", "1.2.0", "1.2.0", "pyproject.toml has version 1.2.0, whose tag is v1.2.0, not 1.2.0.\n"),
        ("v1.3.0", "1.3.0", "1.3.0", 'CHANGELOG.md needs the heading "## 1.3.0 (YYYY-MM-DD)" and lines under it.\n'),
        ("v1.1.0", "1.1.0", "1.1.0", 'CHANGELOG.md needs the heading "## 1.1.0 (YYYY-MM-DD)" and lines under it.\n'),
    ],
    ids=["another server", "another client", "no v", "no date", "no lines"],
)
def test_a_tag_that_fits_no_release_is_refused_in_one_sentence(
    tag: str, server: str, client: str, reason: str, tmp_path: Path
) -> None:
    refusal = notes(tmp_path, tag, server, client)
    assert (refusal.returncode, refusal.stdout, refusal.stderr) == (1, "", reason)


def test_the_server_the_client_and_the_images_have_one_version() -> None:
    versions = {tomllib.loads((ROOT / name).read_text())["project"]["version"] for name in PROJECTS}
    for name in ("Dockerfile", "Dockerfile.cuda"):
        versions.update(re.findall(r"^ARG VERSION=(.*)$", (ROOT / name).read_text(), re.MULTILINE))
    assert len(versions) == 1


@pytest.mark.parametrize("package", ["app", "model"])
def test_every_file_of_a_package_is_in_its_distribution(package: str) -> None:
    patterns = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["package-data"][package]
    folder = ROOT / package
    # pathlib's `**` matches no files before Python 3.13.
    packed = {name: set(glob.glob(name, root_dir=folder, recursive=True)) for name in patterns}  # noqa: PTH207  # as above
    files = (path for path in folder.rglob("*") if path.is_file() and path.suffix not in (".py", ".pyc"))
    assert {path.relative_to(folder).as_posix() for path in files} <= set().union(*packed.values())
    assert all(packed.values())  # no pattern is left of a file that is gone


@pytest.mark.parametrize("name", WORKFLOWS)
def test_actions_are_pinned_and_jobs_have_limits_and_permissions_of_their_own(name: str) -> None:
    workflow = WORKFLOWS[name]
    assert workflow["permissions"] == {}
    assert "concurrency" in workflow
    for job in workflow["jobs"].values():
        assert job["permissions"]
        assert "uses" in job or job["timeout-minutes"] <= 120
        for step in job.get("steps", []):
            assert re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", step.get("uses", f"a/b@{0:040}"))


@pytest.mark.parametrize(
    ("cpu", "cuda", "said"),
    [
        ("", "", ""),
        ("Digest: sha256:1", "", "ghcr.io/owner/name:1.2.0 is published and is never replaced"),
        ("", "Digest: sha256:1", "ghcr.io/owner/name:1.2.0-cuda is published and is never replaced"),
        ("ERROR: 503 Service Unavailable", "", "did not say whether ghcr.io/owner/name:1.2.0 is published: ERROR: 503"),
        ("", "ERROR: dial tcp: lookup ghcr.io: no such host", "did not say whether ghcr.io/owner/name:1.2.0-cuda is"),
    ],
    ids=["neither", "CPU", "CUDA", "no answer", "no network"],
)
def test_a_published_version_is_never_replaced(cpu: str, cuda: str, said: str, tmp_path: Path) -> None:
    """The step runs with a `docker` that gives these answers of the registry; empty: it does not know the name."""
    steps = WORKFLOWS["release.yml"]["jobs"]["distributions"]["steps"]
    (script,) = (step["run"] for step in steps if step.get("name") == "No image of this version is published")
    (tmp_path / "docker").write_text(f"""#!/bin/bash
case $* in
  login*) [ "$(cat)" = secret ]; exit ;;
  logout*) exit ;;
  *-cuda) answer="{cuda}" ;;
  *) answer="{cpu}" ;;
esac
echo "${{answer:-ERROR: ${{*: -1}}: not found}}"
[[ $answer = Digest* ]]
""")
    (tmp_path / "docker").chmod(0o755)
    variables = {"IMAGE": "ghcr.io/Owner/Name", "GITHUB_REF_NAME": "v1.2.0", "GITHUB_ACTOR": "actor", "TOKEN": "secret"}
    ran = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", **variables},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == bool(said), ran.stderr
    assert said in ran.stdout
    assert bool(ran.stdout) == bool(said)


def test_nothing_is_published_before_it_was_tested() -> None:
    jobs = WORKFLOWS["release.yml"]["jobs"]
    assert jobs["test"]["uses"] == "./.github/workflows/test.yml"
    order = ["distributions", "test", "image", "publish", "release"]
    for name, before in zip(order[1:], order, strict=False):
        assert before in jobs[name]["needs"]
    writers = {name for name, job in jobs.items() if "write" in job["permissions"].values()}
    assert writers == {"image", "publish", "release"}
