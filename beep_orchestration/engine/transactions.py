"""What Dagster's storages of runs and of events store in one transaction.

Each of their methods takes a connection that commits each statement by itself. Within `one_transaction` they get its
connection instead, both of them, in the thread that has begun it and in no other.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar

from sqlalchemy import Connection

_under_way: ContextVar[Connection | None] = ContextVar("_under_way", default=None)


def transaction_under_way() -> AbstractContextManager[Connection] | None:
    """The connection of this thread's transaction, to be used and left open."""
    connection = _under_way.get()
    return None if connection is None else nullcontext(connection)


@contextmanager
def one_transaction(connect: Callable[[], AbstractContextManager[Connection]]) -> Iterator[Connection]:
    """Within the block this thread stores all, or, if the block raises, nothing; within another such block, with that.

    `connect` is a storage's own, for a connection of its pool.
    """
    with connect() as pooled:
        if _under_way.get() is not None:
            yield pooled
            return
        connection = pooled.execution_options(isolation_level="READ COMMITTED")  # until it is returned to its pool
        token = _under_way.set(connection)
        try:
            with connection.begin():
                yield connection
        finally:
            _under_way.reset(token)
