"""The command `beep`, run in this process on a database of its own, or as a process of its own."""

import io
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from beep_orchestration.cli import main
from beep_orchestration.ids import WorkflowExecutionId
from beep_orchestration.persistence import Database
from beep_orchestration.settings import load_settings
from beep_orchestration.supervisor.home import free_port
from tests.exports.graphs import graph_of
from tests.factories import ORGANIZATION, claimed

TEXT = "Ada Lovelace met Charles Babbage in London. Babbage built the Difference Engine."


@dataclass(frozen=True)
class Result:
    """What a call of `beep` left behind."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object that it printed."""
        return json.loads(self.out)

    @property
    def error(self) -> str:
        """The one line that it refused with."""
        assert self.code == 1, self
        errors = [line for line in self.err.splitlines() if line.startswith("error: ")]
        assert len(errors) == 1, self
        assert "Traceback" not in self.err
        return errors[0]


Beep = Callable[..., Result]


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[pytest.MonkeyPatch]:
    """The environment of a user whose Dagster is not running; the current folder is empty."""
    monkeypatch.setenv("BEEP_DATA_FOLDER", str(tmp_path / "data"))
    monkeypatch.setenv("BEEP_PORT", str(free_port("127.0.0.1")))
    monkeypatch.setenv("BEEP_ORGANIZATION", ORGANIZATION)
    monkeypatch.chdir(tmp_path)
    load_settings.cache_clear()
    yield monkeypatch
    load_settings.cache_clear()


@pytest.fixture
def beep(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Beep:
    """Call `beep` with these arguments."""

    def call(*arguments: object, stdin: bytes = b"") -> Result:
        environment.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        load_settings.cache_clear()
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            main([str(argument) for argument in arguments])
        printed = capsys.readouterr()
        return Result(ended.value.code or 0, printed.out, printed.err)  # type: ignore[arg-type]

    return call


@pytest.fixture
def configured(environment: pytest.MonkeyPatch, database: Database, database_url: str) -> Database:
    """The migrated database that `beep` is set to."""
    environment.setenv("BEEP_DATABASE_URL", database_url)
    return database


@pytest.fixture
def completed_id(configured: Database) -> WorkflowExecutionId:
    """A completed execution with a graph."""
    graph = graph_of(TEXT, {"Ada Lovelace": "Person", "London": "Place"}, [("Ada Lovelace", "was in", "London")])
    document = {"document_id": "notes.txt", "text": TEXT, "ontology": None}
    with configured.transaction() as tables:
        execution = claimed(tables, input=document)
        assert tables.executions.complete(execution.id, execution.epoch, graph.model_dump(mode="json"))
    return execution.id
