"""What the pages name is there: links, files, tests, names of the code, make targets."""

import ast
import re
from importlib import import_module
from typing import Any

import pytest

from beep_orchestration import tables
from beep_orchestration.settings import Settings
from tests.docs.pages import PAGES, README, ROOT, Page, page

PACKAGE = ROOT / "beep_orchestration"
MODULES = {path.stem if path.is_file() else path.name for path in PACKAGE.iterdir() if not path.name.startswith("__")}
FILE = re.compile(r"^[\w./*-]+\.(?:py|md|yaml|toml|txt|html|lock|css|js|ttl)$|^[\w.-]+(?:/[\w.-]+)*/$")
MADE_AT_RUN_TIME = {"services.lock", "postgres.lock"}
INTERNAL_VARIABLES = {"BEEP_OWNER_PID", "BEEP_SERVICES_MARK"}

every_page = pytest.mark.parametrize("each", PAGES, ids=str)


def test_the_readme_is_short() -> None:
    assert len(README.text.splitlines()) <= 150


@every_page
def test_links_resolve(each: Page) -> None:
    for link in each.links():
        if re.match(r"https?:", link):
            continue
        target, _, anchor = link.partition("#")
        path = (each.path.parent / target).resolve() if target else each.path
        assert path.exists(), link
        if anchor:
            assert anchor in Page(path).anchors(), link


def test_every_page_of_docs_is_linked_from_the_readme() -> None:
    linked = {(ROOT / link.partition("#")[0]).resolve() for link in README.links()}
    assert {path.resolve() for path in (ROOT / "docs").glob("*.md")} <= linked


def _is_from_elsewhere(name: str) -> bool:
    """Files of the specification, and files that are made at run time."""
    return name.startswith(("packages/", "out/", "/")) or name in MADE_AT_RUN_TIME


@every_page
def test_files_that_are_named_exist(each: Page) -> None:
    for name in filter(FILE.match, each.inline_code()):
        if not _is_from_elsewhere(name):
            assert list(ROOT.glob(name.rstrip("/"))), name


@every_page
def test_tests_that_are_named_exist(each: Page) -> None:
    for name in each.inline_code():
        path, separator, function = name.partition("::")
        if separator:
            tree = ast.parse((ROOT / path).read_text(encoding="utf-8"))
            assert function in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, name


def resolve(name: str) -> Any:
    """What a dotted name within the package, or a table's name, stands for; raises if there is no such thing."""
    if name in tables.metadata.tables:
        return tables.metadata.tables[name]
    module, *attributes = name.removeprefix("beep_orchestration.").split(".")
    value: Any = import_module(f"beep_orchestration.{module}")
    for number, attribute in enumerate(attributes):
        if not hasattr(value, attribute) and hasattr(value, "__path__"):
            value = import_module(f"{value.__name__}.{attribute}")
        elif attribute in getattr(value, "model_fields", {}) or attribute in getattr(value, "__dataclass_fields__", {}):
            assert number == len(attributes) - 1, name
        else:
            value = getattr(value, attribute)
    return value


def _is_name_of_ours(code: str) -> bool:
    dotted = re.fullmatch(r"(?:beep_orchestration\.)?([a-z_]+)\.[\w.]+", code)
    return dotted is not None and dotted.group(1) in MODULES and FILE.match(code) is None


@every_page
def test_names_of_the_code_resolve(each: Page) -> None:
    for code in filter(_is_name_of_ours, each.inline_code()):
        resolve(code)


@every_page
def test_tables_that_are_named_exist(each: Page) -> None:
    known = {*tables.metadata.tables, "knowledge_workflow_alembic_version"}
    assert set(re.findall(r"\bknowledge_workflow_\w+", each.text)) <= known


@every_page
def test_variables_that_are_named_are_settings(each: Page) -> None:
    known = {f"BEEP_{name.upper()}" for name in Settings.model_fields} | INTERNAL_VARIABLES
    assert set(re.findall(r"\bBEEP_[A-Z_]+\b", each.text)) <= known


def _make_targets() -> set[str]:
    return set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


@every_page
def test_make_targets_that_are_named_exist(each: Page) -> None:
    named = {match.group(1) for line in each.command_lines() if (match := re.match(r"make ([a-z]+)", line))}
    assert named <= _make_targets()


def test_every_make_target_is_described() -> None:
    described = {cells[0].strip("`") for cells in page("development").table_rows()}
    assert {f"make {target}" for target in _make_targets()} <= described


def test_the_two_commands_are_in_the_readme() -> None:
    lines = "\n".join(README.command_lines())
    assert "make demo" in lines
    assert "make test" in lines


@every_page
def test_no_page_has_a_place_that_waits_to_be_filled(each: Page) -> None:
    assert re.search(r"TODO|FIXME|TBD|XXX", each.text) is None
