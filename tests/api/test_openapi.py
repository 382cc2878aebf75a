"""The OpenAPI document says what the server does: random requests made from it get answers that it describes."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from beep_orchestration.api.operations import EVENTS, OPERATIONS, Operation
from beep_orchestration.models import ExecutionStatus
from beep_orchestration.persistence import Database
from tests.api.conftest import serving, settings_of
from tests.factories import ended
from tests.postgres import TEMPLATE, PostgresServer, opened

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
EXAMPLES = 40
DOCUMENT = {"document_id": "notes", "text": "Ada Lovelace met Charles Babbage in London."}
UNKNOWN = "knowledge_workflow_execution__00000000-0000-7000-8000-000000000001"


@pytest.fixture(scope="module")
def shared_database(postgres: PostgresServer) -> Iterator[Database]:
    with postgres.new_database(TEMPLATE) as url, opened(url, pool_size=20) as database:
        yield database


@pytest.fixture(scope="module")
def shared_url(shared_database: Database) -> Iterator[str]:
    database_url = shared_database.engine.url.render_as_string(hide_password=False).replace("+psycopg", "")
    with serving(settings_of(database_url), shared_database) as url:
        yield url


@pytest.fixture(scope="module")
def schema(shared_url: str) -> BaseSchema:
    return schemathesis.openapi.from_url(f"{shared_url}/openapi.json")


def _ids(database: Database, operation: Operation) -> list[str]:
    """Executions to ask for; a stream of one that runs would not end."""
    statuses = [ExecutionStatus.COMPLETED] if operation.media_type == EVENTS else list(ExecutionStatus)
    with database.transaction() as tables:
        return [UNKNOWN, *(str(ended(tables, status, input=DOCUMENT).id) for status in statuses)]


@pytest.mark.parametrize("mode", GenerationMode)
@pytest.mark.parametrize("operation", OPERATIONS, ids=[operation.name for operation in OPERATIONS])
@pytest.mark.timeout(280)
def test_answers_are_as_described(
    schema: BaseSchema, shared_database: Database, operation: Operation, mode: GenerationMode
) -> None:
    """To valid requests and to invalid ones, about executions that are there and about one that is not."""
    described = schema[operation.path][operation.method]
    if mode is GenerationMode.NEGATIVE and not (described.path_parameters or described.query or operation.body):
        pytest.skip("nothing of it can be wrong")
    ids = _ids(shared_database, operation)

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=described.as_strategy(mode), execution_id=st.sampled_from(ids))
    def answers(case: schemathesis.Case, execution_id: str) -> None:
        if mode is GenerationMode.POSITIVE and "execution_id" in (case.path_parameters or {}):
            case.path_parameters["execution_id"] = execution_id
        case.call_and_validate(checks=CHECKS)

    answers()


def test_every_operation_is_described(schema: BaseSchema) -> None:
    described = {(path, method.upper()) for path, methods in schema.raw_schema["paths"].items() for method in methods}
    assert described == {(operation.path, operation.method) for operation in OPERATIONS}
