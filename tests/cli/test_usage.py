"""How `beep` behaves as a program: what it loads, how it fails, what it leaves in a pipe."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import pytest
from sqlalchemy import text

from beep_orchestration.cli import main
from beep_orchestration.persistence import Database
from beep_orchestration.persistence.schema import EXPECTED_REVISION, VERSION_TABLE
from beep_orchestration.supervisor.home import free_port
from tests.cli.conftest import Beep

CHECKOUT = Path(__file__).parents[2]
LOADED = """
import sys
from beep_orchestration.cli import main
try:
    main(sys.argv[1:])
finally:
    print("loaded:", sorted({"dagster", "spacy", "rdflib", "networkx", "alembic"} & set(sys.modules)))
"""
COMMANDS = [
    "demo",
    "up",
    "start",
    "status",
    "watch",
    "signal",
    "cancel",
    "resume",
    "history",
    "list",
    "graph",
    "prune",
    "migrate",
    "doctor",
]


def _loaded_by(*arguments: str) -> str:
    run = subprocess.run(
        [sys.executable, "-c", LOADED, *arguments], capture_output=True, text=True, cwd=CHECKOUT, check=False
    )
    return run.stdout.splitlines()[-1]


@pytest.mark.usefixtures("configured")
@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["start", "--help"], ["status", "knowledge_workflow_execution__0"], ["list", "--json"]],
    ids=str,
)
def test_asking_loads_neither_dagster_nor_spacy(arguments: list[str]) -> None:
    assert _loaded_by(*arguments) == "loaded: []"


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(beep: Beep, command: str) -> None:
    result = beep(command, "--help")
    assert result.code == 0
    assert command in beep("--help").out


@pytest.mark.parametrize(
    "arguments", [["nope"], ["status"], ["list", "--status", "parked"], ["start"], ["list", "--nope"]]
)
def test_wrong_usage_is_exit_code_2(beep: Beep, arguments: list[str]) -> None:
    result = beep(*arguments)
    assert (result.code, result.out) == (2, "")
    assert "Usage: beep" in result.err


def test_the_version_is_that_of_the_distribution(beep: Beep) -> None:
    assert beep("--version").out == f"beep {version('beep-orchestration')}\n"


@pytest.mark.usefixtures("configured")
def test_a_trace_is_shown_only_when_asked_for(beep: Beep) -> None:
    assert "Traceback" not in beep("status", "x").err
    with pytest.raises(Exception, match="is not an id"):
        main(["--trace", "status", "x"])


def test_an_unreachable_database_is_one_line_without_the_password(beep: Beep, environment: pytest.MonkeyPatch) -> None:
    url = f"postgresql://ada:s3cret@127.0.0.1:{free_port('127.0.0.1')}/beep?sslpassword=s3cret2"
    environment.setenv("BEEP_DATABASE_URL", url)
    for command in (["list"], ["migrate"], ["up"]):
        error = beep(*command).error
        assert "127.0.0.1" in error
        assert "s3cret" not in error


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("BEEP_DATABASE_URL", "mysql://ada:s3cret@h/d"),
        ("BEEP_DATABASE_URL", "postgresql://ada:s3cret/x@h:port/d"),
        ("BEEP_PORT", "99999"),
        ("BEEP_ORGANIZATION", "acme"),
        ("BEEP_MAXIMUM_SIGNAL_BYTES", "few"),
    ],
)
def test_a_wrong_setting_is_one_line_that_names_it(
    beep: Beep, environment: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    environment.setenv(variable, value)
    error = beep("list").error
    assert variable in error
    assert "s3cret" not in error


def test_a_missing_schema_is_named_with_its_remedy(
    beep: Beep, environment: pytest.MonkeyPatch, empty_database_url: str
) -> None:
    environment.setenv("BEEP_DATABASE_URL", empty_database_url)
    assert "run 'beep migrate'" in beep("list").error
    assert beep("migrate", "--json").json == {"revision": EXPECTED_REVISION}
    assert beep("list", "--json").json["executions"] == []


def _make_newer(database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text(f"UPDATE {VERSION_TABLE} SET version_num = '9999'"))


@pytest.mark.parametrize(
    "command",
    [
        "migrate",
        "up",
        "list",
    ],
)
def test_a_schema_newer_than_the_code_is_refused(
    beep: Beep, environment: pytest.MonkeyPatch, own_database: Database, own_database_url: str, command: str
) -> None:
    environment.setenv("BEEP_DATABASE_URL", own_database_url)
    _make_newer(own_database)
    error = beep(command).error
    assert "9999" in error
    assert "update beep_orchestration" in error


@pytest.mark.usefixtures("configured")
def test_a_closed_pipe_leaves_no_trace() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-c", "from beep_orchestration.cli import main; main()", "list"]
    run = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, cwd=CHECKOUT, check=False)
    os.close(writer)
    assert "Traceback" not in run.stderr
    assert "Exception ignored" not in run.stderr


@pytest.mark.usefixtures("configured")
def test_output_has_no_colours_unless_it_is_read_at_a_terminal(beep: Beep) -> None:
    assert "\x1b" not in beep("list").out + beep("doctor").out
