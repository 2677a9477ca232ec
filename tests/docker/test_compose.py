"""The compose files and the Dockerfiles agree with the service and with each other."""

import difflib
import re
import subprocess
import tomllib
from typing import Any

import pytest
import yaml

from app.server import KEEP_ALIVE_S
from app.settings import Settings
from tests.docs.pages import ROOT, page

DOCKER = ROOT / "docker"
COMPOSE: dict[str, Any] = yaml.safe_load((DOCKER / "compose.yaml").read_text())
CUDA: dict[str, Any] = yaml.safe_load((DOCKER / "compose.cuda.yaml").read_text())
SERVICE: dict[str, Any] = COMPOSE["services"]["medimageinsight"]
DOCKERFILES = ("Dockerfile", "Dockerfile.cuda")
DOWNLOAD_BYTES, SLOWEST_DOWNLOAD_BYTES_PER_S = 2_500_000_000, 10_000_000 // 8


def test_the_service_runs_without_privileges() -> None:
    assert SERVICE["read_only"]
    assert SERVICE["cap_drop"] == ["ALL"]
    assert SERVICE["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("${BIND:-127.0.0.1}") for port in SERVICE["ports"])
    names = {name.removeprefix("MEDIMAGEINSIGHT_").lower() for name in SERVICE["environment"]}
    assert names <= set(Settings.model_fields)


def test_every_container_has_limits_and_a_log_that_is_rotated() -> None:
    """The limits of the service are variables: CPUs and memory are unlimited unless they are set."""
    for name, service in COMPOSE["services"].items():
        assert service["logging"] == {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}}, name
        limits = [service[limit] for limit in ("cpus", "mem_limit", "pids_limit")]
        assert all(limits), name
        assert (limits == ["${CPUS:-0}", "${MEMORY:-0}", "${PIDS:-4096}"]) == (service is SERVICE), name
    resources = CUDA["services"]["medimageinsight"]["deploy"]["resources"]
    assert "limits" not in resources  # they would contradict the variables


def test_every_variable_of_the_compose_files_is_in_the_table_of_the_page() -> None:
    files = "".join(path.read_text() for path in sorted(DOCKER.glob("compose*.yaml")))
    used = re.findall(r"\$\{(\w+)(?::-([^}]*))?", files)  # ${A:-default}, ${A:+text} or ${A}
    used.remove(("METRICS_KEY", "none"))  # the content of a file that must exist
    table = page("deploy.md").partition("| variable | default |")[2].partition("\n\n")[0]
    defaults = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) ?\|", table, re.MULTILINE))
    assert defaults.keys() == {name for name, _ in used}
    for name, default in used:
        shown = defaults[name]
        assert f"`{default}`" in shown if default else not shown, name


@pytest.mark.parametrize(
    ("service", "variables", "expected"),
    [
        ("medimageinsight", {}, "127.0.0.1:8000:8000"),
        ("medimageinsight", {"BIND": "[::1]", "PORT": "9000"}, "[::1]:9000:8000"),
        ("proxy", {}, "443:443"),
        ("proxy", {"TLS_BIND": "127.0.0.2"}, "127.0.0.2:443:443"),
        ("proxy", {"TLS_BIND": "[::1]", "TLS_PORT": "8443"}, "[::1]:8443:443"),
    ],
    ids=["service", "service on IPv6", "proxy", "proxy on IPv4", "proxy on IPv6"],
)
def test_the_proxy_listens_at_every_address_and_the_service_at_loopback(
    service: str, variables: dict[str, str], expected: str
) -> None:
    """A shell expands the variables as compose does. Without an address, Docker listens on IPv4 and IPv6."""
    (port,) = COMPOSE["services"][service]["ports"]
    shell = subprocess.run(["bash", "-c", f'echo "{port}"'], env=variables, capture_output=True, text=True, check=True)
    assert shell.stdout.strip() == expected


def test_mounted_files_exist() -> None:
    for name, service in COMPOSE["services"].items():
        for volume in service.get("volumes", []):
            source = volume.partition(":")[0]
            if source.startswith("./") and source != "./tls":
                assert (DOCKER / source).exists(), (name, volume)
            elif not source.startswith("./"):
                assert source in COMPOSE["volumes"], (name, volume)


def test_prometheus_sends_the_key_that_the_service_accepts_for_its_metrics() -> None:
    """Without METRICS_KEY the file still exists; a service without keys ignores what it holds."""
    prometheus = COMPOSE["services"]["prometheus"]
    (mounted,) = prometheus["configs"]
    scrape = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yaml").read_text())["scrape_configs"][0]
    assert scrape["authorization"] == {"credentials_file": mounted["target"]}
    assert COMPOSE["configs"][mounted["source"]]["content"] == "${METRICS_KEY:-none}"
    assert SERVICE["environment"]["METRICS_KEY"] == "${METRICS_KEY:-}"


def test_the_proxy_and_prometheus_use_the_name_of_the_service() -> None:
    targets = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yaml").read_text())["scrape_configs"][0]
    assert targets["static_configs"] == [{"targets": ["medimageinsight:8000"]}]
    assert "reverse_proxy medimageinsight:8000" in (DOCKER / "Caddyfile").read_text()


def test_the_proxy_closes_idle_connections_before_the_service_does() -> None:
    """Otherwise it would send a request on a connection that is being closed, and could not send it again."""
    keepalive = re.search(r"keepalive (\d+)s", (DOCKER / "Caddyfile").read_text())
    assert keepalive is not None
    assert int(keepalive[1]) < KEEP_ALIVE_S


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
        'ENTRYPOINT ["medimageinsight", "serve"]',
    ):
        assert line in text
    for instruction in re.findall(r"^(?:ENTRYPOINT|HEALTHCHECK.*CMD) (.*)$", text, re.MULTILINE):
        assert instruction.startswith("[")  # exec form: a shell would not pass SIGTERM on
    period = re.search(r"--start-period=(\d+)h ", text)
    assert period
    assert int(period[1]) * 3600 * SLOWEST_DOWNLOAD_BYTES_PER_S >= DOWNLOAD_BYTES
    assert "healthcheck" not in SERVICE  # that of the image counts
    for variable in re.findall(r"\b(HOST|PORT|CACHE_DIR)=", text):
        assert variable.lower() in Settings.model_fields


def test_the_images_run_the_console_script() -> None:
    assert tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"].keys() == {"medimageinsight"}


def test_the_two_images_differ_only_in_their_device() -> None:
    cpu, cuda = ((ROOT / name).read_text().splitlines() for name in DOCKERFILES)
    assert cpu[2:4] != cuda[2:4]  # the two commands of the header
    differences = [line for line in difflib.ndiff(cpu, cuda) if line[0] in "-+" and line[2] != "#"]
    assert differences == [
        "- ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu",
        "+ ARG TORCH_INDEX=",
        "+     NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility \\",
    ]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_layer_of_packages_depends_only_on_the_requirements(name: str) -> None:
    """A change of the code must not make the layer of several gigabytes again."""
    before, _, after = (ROOT / name).read_text().partition("/opt/venv/bin/pip install -q -c constraints.txt ./client")
    copied = re.findall(r"^COPY (.*) \S+$", before, re.MULTILINE)
    assert copied == ["constraints.txt", "pyproject.toml LICENSE", "client/pyproject.toml"]
    assert re.findall(r"^COPY (\w+) ", after, re.MULTILINE) == ["app", "client", "model"]


@pytest.mark.parametrize("name", DOCKERFILES)
def test_the_client_never_comes_from_a_package_index(name: str) -> None:
    """pip asks no index for a name that the same command installs from a folder."""
    commands = (ROOT / name).read_text().replace("\\\n", " ").split("&&")
    servers = [command for command in commands if re.search(r"pip .*install.* ('\.\[|\. )", command)]
    assert len(servers) == 2
    assert all(" ./client " in command for command in servers)
