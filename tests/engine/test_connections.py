"""Pooled connections of Dagster's storage that were lost while nobody used them."""

from sqlalchemy import create_engine, text

from beep_orchestration.engine.connections import replace_lost_connections
from beep_orchestration.settings import with_driver
from tests.postgres import end_sessions


def test_a_connection_that_is_lost_right_after_its_first_use_is_replaced(empty_database_url: str) -> None:
    engine = create_engine(with_driver(empty_database_url, "psycopg2"))
    replace_lost_connections(engine)
    for _ in range(2):
        with engine.connect() as connection:
            assert connection.execute(text("SELECT 1")).scalar_one() == 1
        assert end_sessions(empty_database_url) == 1
    engine.dispose()
