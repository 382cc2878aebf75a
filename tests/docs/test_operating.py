"""Every setting and every command is documented as it is."""

import re
import shlex
from typing import Any

import pytest
import typer.main
from pydantic_core import PydanticUndefined

from beep_orchestration.cli.commands import app
from beep_orchestration.settings import Settings
from tests.docs.pages import PAGES, Page, page

OPERATING = page("operating")
CLI: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = CLI.commands
PLACEHOLDER = re.compile(r"^[A-Z_]+(?:\.\.\.)?$|^\.\.\.$")


def _setting_rows() -> dict[str, list[str]]:
    rows = OPERATING.section("Settings").table_rows()
    return {cells[0].strip("`"): cells for cells in rows}


@pytest.mark.parametrize("name", Settings.model_fields)
def test_a_setting_is_documented_with_its_default(name: str) -> None:
    row = _setting_rows()[f"BEEP_{name.upper()}"]
    default = Settings.model_fields[name].default
    if default is not None and default is not PydanticUndefined:
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        assert row[1] == f"`{shown}`"
    assert row[2]


def test_nothing_else_is_documented_as_a_setting() -> None:
    assert {f"BEEP_{name.upper()}" for name in Settings.model_fields} == set(_setting_rows())


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_command_is_documented_and_has_help(name: str) -> None:
    shown = [cells[0].strip("`").split()[1] for cells in OPERATING.section("Commands").table_rows()]
    assert shown.count(name) == 1
    assert COMMANDS[name].help


def test_there_are_commands() -> None:
    assert {"demo", "up", "start", "status", "watch", "graph", "doctor"} <= set(COMMANDS)


def _beep_lines(each: Page) -> list[list[str]]:
    """The calls of `beep` on a page, as words."""
    lines = [line for line in each.command_lines() if re.match(r"beep(\s|$)", line)]
    return [shlex.split(line, comments=True) for line in lines]


@pytest.mark.parametrize("each", PAGES, ids=str)
def test_calls_of_beep_are_what_it_takes(each: Page) -> None:
    for words in _beep_lines(each):
        rest = words[1:]
        while rest and rest[0].startswith("-"):
            assert rest[0] in _options(CLI), words
            rest = rest[2:]
        if not rest or PLACEHOLDER.match(rest[0]):
            continue
        command = COMMANDS[rest[0]]
        given = {word for word in rest[1:] if word.startswith("-") and len(word) > 1}
        assert given <= _options(command), words


def _options(command: Any) -> set[str]:
    return {option for parameter in command.params for option in parameter.opts} | {"--help", "-h"}
