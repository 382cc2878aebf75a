"""The real services for tests: one webserver, daemon and code server per test session, on a database of their own."""

from collections.abc import Iterator

import pytest
from pydantic import SecretStr

from beep_orchestration.settings import Settings
from beep_orchestration.supervisor import Services, running_services
from beep_orchestration.supervisor.home import free_port
from tests.postgres import TEMPLATE, PostgresServer

HOST = "127.0.0.1"


@pytest.fixture(scope="session")
def services(postgres: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Services that tests share: `WorkflowService.connect(services.settings)` reaches them. Do not stop them.

    They know a workflow type of one's own beside `extraction`.
    """
    with postgres.new_database(TEMPLATE) as url:
        settings = Settings(
            database_url=SecretStr(url),
            data_folder=tmp_path_factory.mktemp("services"),
            host=HOST,
            port=free_port(HOST),
            workflow_modules="examples.article_review",
        )
        with running_services(settings) as running:
            yield running
