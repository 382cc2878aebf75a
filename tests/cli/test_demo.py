"""`beep demo`: documents in, graphs out, also where nobody watches."""

import json
import os
import re
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from beep_orchestration import demo
from beep_orchestration.service import WorkflowService
from beep_orchestration.supervisor import Services, find_owner
from tests.cli.conftest import TEXT, Beep

pytestmark = pytest.mark.integration
CHECKOUT = Path(__file__).parents[2]
DEMO = """
import sys
from pathlib import Path
from beep_orchestration import cli, demo
demo.DOCUMENTS = Path(sys.argv[1])
cli.main(["demo"])
"""


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "long.txt").write_text("Long notes\n\n" + TEXT * 60)
    (folder / "short.txt").write_text(f"Notes\n\n{TEXT}")
    (folder / "README.md").write_text("not a document")
    return folder


def test_a_second_demo_shows_the_recorded_graphs_and_leaves_the_services_running(
    beep: Beep, environment: pytest.MonkeyPatch, services: Services, documents: Path, tmp_path: Path
) -> None:
    settings = services.settings
    assert settings.database_url is not None
    environment.setenv("BEEP_DATABASE_URL", settings.database_url.get_secret_value())
    environment.setenv("BEEP_DATA_FOLDER", str(settings.data_folder))
    environment.delenv("BEEP_ORGANIZATION")
    environment.setattr(demo, "DOCUMENTS", documents)
    first = beep("demo")
    assert first.code == 0, first.err
    pictures = [tmp_path / "out" / name for name in ("short.html", "long.html")]
    assert re.findall(r"Picture +(.*)", first.out) == [path.as_uri() for path in pictures]
    assert all(path.read_text(encoding="utf-8").lower().startswith("<!doctype html>") for path in pictures)
    assert services.url in first.out
    assert f"Data        {settings.data_folder} and the database of BEEP_DATABASE_URL\n" in first.out
    with WorkflowService.connect(settings) as service:
        before = {status.execution_id: status for status in service.list().executions}
        second = beep("demo", "--json")
        assert second.code == 0, second.err
        shown = {each["document"]: each for each in map(json.loads, second.out.splitlines())}
        assert {name: (each["status"], each["picture"]) for name, each in shown.items()} == {
            path.stem: ("completed", str(path)) for path in pictures
        }
        assert {each["execution_id"] for each in shown.values()} <= set(before)
        assert services.url in second.err
        earlier = "documents were extracted earlier: their recorded executions are shown"
        assert f"All 2 {earlier}" in second.err
        assert earlier not in first.out
        assert {status.execution_id: status for status in service.list().executions} == before
    assert find_owner(settings.data_folder) is not None
    assert all("\x1b" not in result.out for result in (first, second))


def test_the_demo_finds_a_port_and_leaves_nothing_running(
    empty_database_url: str, documents: Path, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        environment = {name: value for name, value in os.environ.items() if not name.startswith("BEEP_")} | {
            "BEEP_DATA_FOLDER": str(tmp_path / "data"),
            "BEEP_DATABASE_URL": empty_database_url,
            "BEEP_PORT": str(port),
            "PYTHONPATH": str(CHECKOUT),
            "CI": "true",
        }
        command = [sys.executable, "-c", DEMO, str(documents)]
        run = subprocess.run(
            command, env=environment, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False
        )
    assert (run.returncode, run.stderr) == (0, "")
    assert f"Port {port} or {port + 1} is taken" in run.stdout
    assert "short: completed in" in run.stdout
    assert (tmp_path / "out" / "long.html").exists()
    assert find_owner(tmp_path / "data") is None


def test_the_example_documents_are_there() -> None:
    assert len(list(demo.DOCUMENTS.glob("*.txt"))) >= 7
