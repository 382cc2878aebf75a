"""Every part of the specification has its place in the table; read from the specification itself."""

import re
from pathlib import Path

import pytest

from beep_orchestration import tables
from tests.docs.pages import ROOT, page

SEED = ROOT.parent / "shared" / "seed"
PAGE = page("from-the-specification")

pytestmark = pytest.mark.skipif(not SEED.is_dir(), reason="the specification is not beside this checkout")


@pytest.fixture(scope="module")
def specification() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(SEED.iterdir()))


def _named_on_the_page(names: list[str]) -> None:
    assert names, "the specification is read differently from how it is written"
    assert [name for name in names if name not in PAGE.text] == []


def _section(specification: str, heading: str) -> str:
    start = specification.index(heading)
    return specification[start : specification.find("\n## ", start + len(heading))]


def test_files(specification: str) -> None:
    _named_on_the_page(re.findall(r"`(packages/[\w./-]+\.ts)`", specification))


def test_tables_and_columns(specification: str) -> None:
    found = re.findall(r"Table\.make\(KnowledgeEntityIds\.(\w+)\)\(\{(.*?)\n\}\)", specification, re.DOTALL)
    assert len(found) == 3
    entities = dict(re.findall(r"export const (\w+) = EntityId\.make\(\"(\w+)\"\)", specification))
    for identifier, body in found:
        columns = re.findall(r"pg\.\w+\(\"(\w+)\"", body)
        assert columns
        section = PAGE.section(f"`{entities[identifier]}`").text
        assert [column for column in columns if f"`{column}`" not in section] == []


@pytest.mark.parametrize("table", ["execution", "activity", "signal"])
def test_columns_that_the_specification_does_not_have_are_named(table: str) -> None:
    columns = tables.metadata.tables[f"knowledge_workflow_{table}"].c
    section = PAGE.section(f"`knowledge_workflow_{table}`").text
    assert [column.name for column in columns if column.name != "id" and f"`{column.name}`" not in section] == []


def test_entity_ids(specification: str) -> None:
    for name, entity in re.findall(r"export const (\w+) = EntityId\.make\(\"(\w+)\"\)", specification):
        _named_on_the_page([name, entity])


def test_methods_and_errors(specification: str) -> None:
    service = _section(specification, "## Service Interface Design")
    methods = re.findall(r"^ {8}(\w+): ", service, re.MULTILINE)
    assert methods == ["start", "getStatus", "signal", "cancel"]
    _named_on_the_page([f"`WorkflowService.{method}(" for method in methods])
    _named_on_the_page(re.findall(r"\bWorkflow\w+Error\b", service))
    _named_on_the_page(re.findall(r"withSpan\(\"([\w.]+)\"", service))


def test_engine_methods_to_verify(specification: str) -> None:
    section = _section(specification, "## Source Verification")
    _named_on_the_page(re.findall(r"^\| ([\w. ]+) \| @effect/workflow API", section, re.MULTILINE))


def test_verification_process(specification: str) -> None:
    process = specification[specification.index("**Verification Process**") :]
    steps = re.findall(r"^\d\. (.+)$", process[: process.index("\n---")], re.MULTILINE)
    _named_on_the_page([" ".join(step.split()[:3]) for step in steps])


def test_verification_commands(specification: str) -> None:
    section = _section(specification, "## Verification Steps")
    _named_on_the_page(re.findall(r"^(bun run .+|ls .+)$", section, re.MULTILINE))


def test_success_criteria(specification: str) -> None:
    criteria = re.findall(r"^- \[ \] (.+)$", specification, re.MULTILINE)
    assert criteria
    words = [word for line in criteria for word in re.findall(r"[\w/@-]{10,}", line)]
    _named_on_the_page([word for word in words if not word.startswith(("knowledge-", "@beep"))])


def test_what_does_not_apply_says_why(specification: str) -> None:
    assert "## Delegation Protocol" in specification
    cells = [row[1] for row in PAGE.section("Delegation protocol").table_rows()]
    assert cells[0].startswith("n/a: ")
    assert [cell for row in PAGE.table_rows() for cell in row if cell == "n/a"] == []


def test_the_page_claims_no_file_that_is_not_there() -> None:
    """As `test_pages` says, once more for the cells of this page that name files without backticks."""
    for name in re.findall(r"\b(?:beep_orchestration|migrations|tests)/[\w/.-]+\.py\b", PAGE.text):
        assert Path(ROOT, name).exists(), name
