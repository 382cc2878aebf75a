"""The page about HTTP names what there is, and its requests are sent to a real server."""

import re
from collections.abc import Iterator

import httpx
import pytest

from beep_orchestration.api.openapi import openapi_document
from beep_orchestration.api.operations import OPERATIONS
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence import Database
from tests.api.conftest import serving, settings_of
from tests.docs.pages import page
from tests.factories import ended

HTTP = page("http")


def test_every_operation_is_described() -> None:
    described = [(cells[0].strip("`"), cells[1].strip("`")) for cells in HTTP.section("The operations").table_rows()]
    assert described == [(operation.name, f"{operation.method} {operation.path}") for operation in OPERATIONS]


def test_every_refusal_is_described() -> None:
    described = {cells[0] for cells in HTTP.section("Refusals").table_rows()}
    operations = [each for methods in openapi_document()["paths"].values() for each in methods.values()]
    answers = {status for operation in operations for status in operation["responses"]}
    assert described == {status for status in answers if status >= "400"} - {"500"}


@pytest.fixture
def url(database_url: str, database: Database) -> Iterator[str]:
    with serving(settings_of(database_url), database) as address:
        yield address


@pytest.mark.parametrize("block", HTTP.blocks("http"), ids=lambda block: block.splitlines()[0])
def test_a_request_that_is_shown_is_answered(block: str, url: str, database: Database) -> None:
    with database.transaction() as tables:
        execution = ended(tables, ExecutionStatus.COMPLETED)
    head, _, body = block.partition("\n\n")
    first, *headers = head.splitlines()
    method, path, _ = first.split()
    path = path.replace("{execution_id}", execution.id)
    sent = dict(re.split(r":\s*", header, maxsplit=1) for header in headers)
    answer = httpx.request(method, f"{url}{path}", headers=sent, content=body.strip() or None, timeout=30)
    assert answer.status_code in {200, 202}, answer.text
    assert answer.text
