"""What docs/graphs.md shows of a graph is what its own program writes."""

import re
from pathlib import Path
from zipfile import ZipFile

import pytest

from beep_orchestration.extraction.exports import GraphFormat
from beep_orchestration.extraction.model import Decision, Entity, Mention, Provenance, Relation
from tests.docs.pages import page

PAGE = page("graphs")
LANGUAGES = {"json": "json", "jsonl": "jsonl", "turtle": "turtle", "xml": "graphml", "csv": "csv"}


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder into which the page's programs wrote, and what they printed."""
    folder = tmp_path_factory.mktemp("graphs")
    lines: list[str] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        names = {"print": lambda *words: lines.append(" ".join(map(str, words)))}
        for block in PAGE.blocks("python"):
            exec(compile(block, "docs/graphs.md", "exec"), names)  # noqa: S102 - the page's own program
    return folder, "\n".join(lines)


def content(folder: Path, graph_format: str) -> str:
    path = folder / f"graph.{graph_format}"
    if graph_format != "csv":
        return path.read_text(encoding="utf-8")
    with ZipFile(path) as archive:
        return "\n".join(archive.read(name).decode() for name in archive.namelist())


def shown(block: str, written: str) -> list[str]:
    """The lines of the block that are not written; `…` stands for anything within a line, indents do not count."""
    patterns = [re.escape(line.strip()).replace("…", ".*") for line in block.splitlines() if line.strip()]
    lines = [line.strip().rstrip(",") for line in written.splitlines()]
    return [pattern for pattern in patterns if not any(re.fullmatch(pattern.removesuffix(","), line) for line in lines)]


@pytest.mark.parametrize(("language", "graph_format"), LANGUAGES.items())
def test_an_excerpt_is_of_what_is_written(printed: tuple[Path, str], language: str, graph_format: str) -> None:
    (block,) = PAGE.blocks(language)
    assert len(block.splitlines()) > 0
    assert shown(block, content(printed[0], graph_format)) == []


def test_the_question_prints_its_answer_and_the_report_is_as_shown(printed: tuple[Path, str]) -> None:
    answer, report = PAGE.blocks("text")
    assert printed[1] == answer.strip()
    assert shown(report, content(printed[0], "text")) == []


def test_every_format_has_been_written_and_is_described(printed: tuple[Path, str]) -> None:
    assert {path.suffix.removeprefix(".") for path in printed[0].iterdir()} == set(GraphFormat)
    headings = " ".join(re.findall(r"^## (.*)$", PAGE.text, re.MULTILINE)).lower()
    words = {"jsonl": "json lines", "jsonld": "json-ld", "html": "picture", "text": "report"}
    assert all(words.get(name, name) in headings for name in GraphFormat)


def test_every_field_of_a_fact_and_every_decision_is_explained() -> None:
    fields = {*Entity.model_fields, *Relation.model_fields, *Mention.model_fields, *Provenance.model_fields}
    explained = " ".join(PAGE.blocks("json") + PAGE.inline_code())
    assert {name for name in (*fields, *Decision) if not re.search(rf"\b{name}\b", explained)} == set()


def test_the_import_names_every_file(printed: tuple[Path, str]) -> None:
    (command,) = [line for line in PAGE.command_lines() if line.startswith("neo4j-admin database")]
    with ZipFile(printed[0] / "graph.csv") as archive:
        given = re.findall(r"--(?:nodes|relationships)=(\S+)", command)
        assert sorted(given) == sorted(archive.namelist())
