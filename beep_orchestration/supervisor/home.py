"""The files of the services: all of them under the data folder, none in the checkout."""

import json
import os
import random
import shutil
import socket
import sys
import sysconfig
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from pydantic import SecretStr

from beep_orchestration.errors import ConfigurationError
from beep_orchestration.settings import Settings
from beep_orchestration.supervisor import program

INSTANCE_FILE = Path(__file__).parents[2] / "dagster.yaml"
CODE_SOCKET = "code.sock"
OWNER_VARIABLE = "BEEP_OWNER_PID"
MARK_VARIABLE = "BEEP_SERVICES_MARK"
"""In the environment of all that the services start, however far down: by it the guard knows what to end."""


def prepare_home(data_folder: Path) -> Path:
    """DAGSTER_HOME in the data folder, with the checkout's `dagster.yaml`, copied anew at every start."""
    home = data_folder / "dagster"
    home.mkdir(mode=0o700, exist_ok=True)
    try:
        shutil.copyfile(INSTANCE_FILE, home / INSTANCE_FILE.name)
    except FileNotFoundError as error:
        raise ConfigurationError(f"no {INSTANCE_FILE.name}: run from a checkout of the project") from error
    return home


def write_workspace(folder: Path, code_location: str) -> Path:
    """A workspace file that points at one code server, behind the Unix socket in that folder.

    Not a port: whoever can talk to a code server can have it run code, and the folder is closed to other users.
    """
    workspace = folder / "workspace.yaml"
    server = f"socket: {folder / CODE_SOCKET}\n      location_name: {code_location}"
    workspace.write_text(f"load_from:\n  - grpc_server:\n      {server}\n", encoding="utf-8")
    return workspace


def script(name: str) -> list[str]:
    """What runs one of Dagster's commands, or ours, in the environment that this process runs in."""
    if not (Path(sysconfig.get_path("scripts")) / name).exists():
        raise ConfigurationError(f"no {name} beside {sys.executable}; install the dependencies of the project")
    return function(name)


def function(name: str) -> list[str]:
    """What runs a function of a module, written `module:function`, as a program."""
    return [sys.executable, "-P", program.__file__, name]


def environment(settings: Settings, home: Path, mark: str) -> dict[str, str]:
    """What the services find in their environment: every setting as this process has it, whatever it got it from."""
    inherited = {name: value for name, value in os.environ.items() if not name.upper().startswith("BEEP_")}
    return {
        **inherited,
        **_as_variables(settings),
        "DAGSTER_HOME": str(home),
        "PYTHONUNBUFFERED": "1",
        OWNER_VARIABLE: str(os.getpid()),
        MARK_VARIABLE: mark,
    }


def _as_variables(settings: Settings) -> Mapping[str, str]:
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    return {f"BEEP_{name.upper()}": _text(value) for name, value in values.items() if value is not None}


def _text(value: object) -> str:
    match value:
        case SecretStr():
            return value.get_secret_value()
        case Path():
            return str(value.absolute())
        case Mapping():
            return json.dumps({key: [_text(each) for each in secrets] for key, secrets in value.items()})
        case _:
            return str(value)


def check_port(host: str, port: int, variable: str = "BEEP_PORT") -> None:
    """Raise `ConfigurationError` unless a server could listen there now."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise ConfigurationError(
            f"{variable}: cannot listen on {host}:{port} ({error.strerror or error}); set {variable} to a free port"
        ) from error


_PORTS = range(10_000, 32_000)
"""Below those that systems give to outgoing connections, which could take one before a service listens on it."""
_TRIES = 200


def free_port(host: str) -> int:
    """A port that nobody listens on now, and neither on the next one, which is the API's unless it is set.

    Raises `ConfigurationError` if none is found: nobody can listen at that host.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for port in random.sample(_PORTS, _TRIES):
        ours, following = ((host, each) for each in (port, port + 1))
        with (
            suppress(OSError),
            socket.create_server(ours, family=family),
            socket.create_server(following, family=family),
        ):
            return port
    raise ConfigurationError(f"BEEP_HOST: no port of {host} is free; set it to an address of this machine")
