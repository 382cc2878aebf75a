"""The examples run, and the README shows them as they are."""

import os
import py_compile
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from beep_orchestration.extraction import extract, parse_extraction_input
from beep_orchestration.settings import Settings
from beep_orchestration.supervisor import Services
from tests.docs.pages import PAGES, README, ROOT, Page, page

EXAMPLES = sorted((ROOT / "examples").glob("*.py"))


def test_the_readme_shows_the_example_as_it_is() -> None:
    assert README.blocks("python") == [(ROOT / "examples" / "service.py").read_text(encoding="utf-8")]


def test_the_page_about_workflows_shows_a_part_of_its_example_as_it_is() -> None:
    shown = page("workflows").blocks("python")[-1]
    assert textwrap.indent(shown, "    ") in (ROOT / "examples" / "booking.py").read_text(encoding="utf-8")


def test_the_example_is_as_short_as_it_looks() -> None:
    assert len((ROOT / "examples" / "service.py").read_text(encoding="utf-8").splitlines()) <= 15


def test_the_readme_counts_what_the_demo_finds() -> None:
    text = (ROOT / "examples" / "documents" / "eniac_and_von_neumann.txt").read_text(encoding="utf-8")
    graph = extract(parse_extraction_input({"document_id": "eniac", "text": text}))
    mentions = sum(len(entity.mentions) for entity in graph.entities)
    found = f"{len(graph.entities)} entities, {len(graph.relations)} relations, {mentions} mentions"
    assert f"{found} in {len(text):,} characters" in README.text


@pytest.mark.parametrize("each", PAGES, ids=str)
def test_every_python_block_compiles(each: Page) -> None:
    for block in each.blocks("python"):
        compile(block, str(each), "exec")


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_every_example_compiles(path: Path, tmp_path: Path) -> None:
    py_compile.compile(str(path), cfile=str(tmp_path / "compiled"), doraise=True)


def _environment(settings: Settings) -> dict[str, str]:
    """What a program needs in its environment to reach the services."""
    url = settings.database_url
    assert url is not None
    return os.environ | {"BEEP_DATABASE_URL": url.get_secret_value(), "BEEP_PORT": str(settings.port)}


@pytest.mark.integration
def test_the_example_prints_what_the_readme_says(services: Services) -> None:
    command = [sys.executable, "examples/service.py"]
    program = subprocess.run(
        command, cwd=ROOT, env=_environment(services.settings), capture_output=True, text=True, timeout=240, check=False
    )
    assert program.returncode == 0, program.stderr
    status, *relations = program.stdout.splitlines()
    assert status == "completed"
    assert "claude-shannon born in petoskey" in relations
    assert "claude-shannon born in petoskey" in README.text
