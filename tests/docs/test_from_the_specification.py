"""Every part of the specification has its place in the table; read from the specification itself."""

import re
from pathlib import Path

import pytest

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
    tables = re.findall(r"Table\.make\(KnowledgeEntityIds\.(\w+)\)\(\{(.*?)\n\}\)", specification, re.DOTALL)
    assert len(tables) == 3
    entities = dict(re.findall(r"export const (\w+) = EntityId\.make\(\"(\w+)\"\)", specification))
    for identifier, body in tables:
        columns = re.findall(r"pg\.\w+\(\"(\w+)\"", body)
        assert columns
        section = PAGE.section(f"`{entities[identifier]}`").text
        assert [column for column in columns if f"`{column}`" not in section] == []


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


def test_who_delegates_to_whom(specification: str) -> None:
    section = _section(specification, "### When to Delegate")
    delegates = re.findall(r"\| ([\w-]+)(?: \(direct\))? \|$", section, re.MULTILINE)
    _named_on_the_page([name for name in delegates if name != "To"])


def test_the_page_claims_no_file_that_is_not_there() -> None:
    """As `test_pages` says, once more for the cells of this page that name files without backticks."""
    for name in re.findall(r"\b(?:beep_orchestration|migrations|tests)/[\w/.-]+\.py\b", PAGE.text):
        assert Path(ROOT, name).exists(), name
