"""What PostgreSQL itself takes: rows written and committed through psycopg, with nothing around them."""

import time

import psycopg

_TABLE = "CREATE TABLE IF NOT EXISTS floor (id int PRIMARY KEY GENERATED ALWAYS AS IDENTITY, value jsonb)"


class Floor:
    """One connection to a database of its own."""

    def __init__(self, database_url: str) -> None:
        self._connection = psycopg.connect(database_url, autocommit=True)
        self._connection.execute(_TABLE)

    def commits(self, count: int) -> float:
        """Seconds for that many commits of one row each."""
        began = time.perf_counter()
        for _ in range(count):
            self._connection.execute("INSERT INTO floor (value) VALUES ('{}')")
        return time.perf_counter() - began

    def close(self) -> None:
        self._connection.close()
