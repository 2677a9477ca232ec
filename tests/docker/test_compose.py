"""The compose files and the Dockerfiles say what the project does."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
CUDA: dict[str, Any] = yaml.safe_load((DOCKER / "compose.cuda.yaml").read_text())
SERVICE: dict[str, Any] = COMPOSE["services"]["medimageinsight"]
DOCKERFILES = ("Dockerfile", "Dockerfile.cuda")


def test_the_service_is_left_with_little() -> None:
    assert SERVICE["read_only"]
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("${BIND:-127.0.0.1}") for port in SERVICE["ports"])
    assert {name.lower() for name in SERVICE["environment"]} <= set(Settings.model_fields)


def test_files_that_are_mounted_are_there() -> None:
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./") and source != "./tls":
                assert (DOCKER / source).exists(), (name, volume)
            elif not source.startswith("./"):
                assert source in COMPOSE["volumes"], (name, volume)


def test_others_find_the_service_by_its_name() -> None:
    targets = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yaml").read_text())["scrape_configs"][0]
    assert targets["static_configs"] == [{"targets": ["medimageinsight:8000"]}]
    assert "reverse_proxy medimageinsight:8000" in (DOCKER / "Caddyfile").read_text()


def test_only_the_service_starts_without_a_profile() -> None:
    assert [name for name, service in COMPOSE["services"].items() if "profiles" not in service] == ["medimageinsight"]


def test_the_cuda_file_reserves_a_gpu_for_the_same_service() -> None:
    (device,) = CUDA["services"]["medimageinsight"]["deploy"]["resources"]["reservations"]["devices"]
    assert device == {"driver": "nvidia", "count": 1, "capabilities": ["gpu"]}
    assert CUDA["services"]["medimageinsight"]["build"]["dockerfile"] == "Dockerfile.cuda"


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_images_keep_their_promises(name: str) -> None:
    text = (ROOT / name).read_text()
    for line in (
        "USER 10001:10001",
        "EXPOSE 8000",
        "STOPSIGNAL SIGTERM",
        'ENTRYPOINT ["python", "-m", "app.cli.main", "serve"]',
    ):
        assert line in text
    for instruction in re.findall(r"^(?:ENTRYPOINT|HEALTHCHECK.*CMD) (.*)$", text, re.MULTILINE):
        assert instruction.startswith("[")  # exec form: a shell would keep SIGTERM to itself
    for variable in re.findall(r"\b(HOST|PORT|CACHE_DIR)=", text):
        assert variable.lower() in Settings.model_fields


def test_the_two_images_differ_in_their_device_alone() -> None:
    cpu, cuda = ({*(ROOT / name).read_text().splitlines()} for name in DOCKERFILES)
    changed = [line for line in cpu ^ cuda if line and not line.startswith("#")]
    assert sorted(line.split("=")[0].strip() for line in changed) == [
        "ARG TORCH_INDEX",
        "ARG TORCH_INDEX",
        "NVIDIA_VISIBLE_DEVICES",
    ]
