"""Environment variables: those that settings are read from, and those that other programs have set."""

import os
import re
import socket
from collections.abc import Collection
from pathlib import Path

from app.settings import PREFIX

_DEVICE = re.compile(r"auto|cpu|mps|cuda(:\d+)?")
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://")


def variable_of(name: str) -> str | None:
    """The environment variable that a setting is read from: the prefixed one, else the bare one, else None."""
    are_set = {variable.upper() for variable in os.environ}
    return next((variable for variable in (PREFIX + name.upper(), name.upper()) if variable in are_set), None)


def value_of(variable: str) -> str:
    """The value of an environment variable, whose name may be written in any case."""
    return next(value for name, value in os.environ.items() if name.upper() == variable)


def variables_among(names: Collection[str]) -> dict[str, str]:
    """The environment variables that are set among `names`, for the environment of another process."""
    return {name: os.environ[name] for name in names if name in os.environ}


def foreign_variables(names: Collection[str]) -> dict[str, str]:
    """Settings whose environment variable another program has set, each with a sentence that says so.

    Conda exports HOST=x86_64-conda-linux-gnu. Kubernetes exports MEDIMAGEINSIGHT_PORT=tcp://10.0.0.1:8000 into every
    pod of a namespace that has a Service called medimageinsight.

    Args:
        names: the settings that are looked at.
    """
    found: dict[str, str] = {}
    host, port = variable_of("host"), variable_of("port")
    if "host" in names and host == "HOST" and not resolves(value_of(host)):
        found["host"] = (
            f"HOST={value_of(host)} is ignored: it is neither an address nor a host name that can be resolved "
            f"(set {PREFIX}HOST to choose the address)"
        )
    if "port" in names and port and _SERVICE_LINK.match(value_of(port)):
        found["port"] = (
            f"{port}={value_of(port)} is ignored: it is the link to a Service, set by Kubernetes or Docker "
            "(--port chooses the port)"
        )
    return found


def unusable_bare_variables(names: Collection[str]) -> dict[str, str]:
    """Settings whose bare variable holds a text that cannot be one, each with a sentence: MODEL=gpt-4, DEVICE=tty1.

    Both settings are texts of any form, so that their types reject nothing.

    Args:
        names: the settings that are looked at.
    """
    found: dict[str, str] = {}
    for name, is_usable, needed in (
        ("model", _may_be_a_model, "neither an existing path nor a Hugging Face id"),
        ("device", _DEVICE.fullmatch, "not one of auto, cpu, cuda, cuda:N and mps"),
    ):
        if name in names and variable_of(name) == name.upper() and not is_usable(value_of(name.upper())):
            found[name] = f"{value_of(name.upper())!r} is {needed}"
    return found


def _may_be_a_model(value: str) -> bool:
    return value == "" or "/" in value or Path(value).expanduser().exists()


def resolves(host: str) -> bool:
    """Whether `host` is an IP address or a host name that this machine can resolve."""
    try:
        socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return False
    return True
