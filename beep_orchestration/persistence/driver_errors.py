"""What the database driver raises becomes errors of this package here and nowhere else."""

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg.conninfo import make_conninfo
from sqlalchemy import URL, Engine, make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError

from beep_orchestration.errors import ConfigurationError, DatabaseUnavailableError
from beep_orchestration.settings import with_driver

_LIMITS_OF_A_STATEMENT = frozenset({"54000", "54001", "54011", "54023"})
_INSUFFICIENT_PRIVILEGE = "42501"
_SECRET_PARAMETERS = ("password", "sslpassword")


def parsed_url(url: str) -> URL:
    """The URL for our driver; raises `ConfigurationError`, which does not repeat it: it may hold a password."""
    try:
        parsed = make_url(with_driver(url, "psycopg"))
    except (ArgumentError, ValueError):
        raise ConfigurationError(
            "BEEP_DATABASE_URL: not a URL; write postgresql://user:password@host:port/database "
            "and percent-encode / : @ within the password"
        ) from None
    try:
        make_conninfo(**dict.fromkeys(parsed.query, ""))
    except psycopg.ProgrammingError as error:
        problem = _first_line(error)
        raise ConfigurationError(f"BEEP_DATABASE_URL: {problem}; correct what follows the ?, or remove it") from None
    return parsed


def safe_url(url: URL) -> str:
    """The URL without its passwords."""
    hidden = {name: "***" for name in _SECRET_PARAMETERS if name in url.query}
    return url.set(drivername="postgresql").update_query_dict(hidden).render_as_string(hide_password=True)


@contextmanager
def unavailability(engine: Engine) -> Iterator[None]:
    """Raise `DatabaseUnavailableError` for what the driver raises when the database does not answer.

    And `ConfigurationError` if it does not let the configured role do what has to be done.
    """
    try:
        yield
    except (OperationalError, InterfaceError, PoolTimeoutError) as error:
        if getattr(getattr(error, "orig", None), "sqlstate", None) in _LIMITS_OF_A_STATEMENT:
            raise  # asking again would not help
        raise DatabaseUnavailableError(safe_url(engine.url), _first_line(error)) from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise DatabaseUnavailableError(safe_url(engine.url), _first_line(error)) from error
        if getattr(error.orig, "sqlstate", None) == _INSUFFICIENT_PRIVILEGE:
            raise ConfigurationError(
                f"BEEP_DATABASE_URL: {_first_line(error)} in {safe_url(engine.url)}; "
                "make its role the owner of the database or of the schema"
            ) from error
        raise


def _first_line(error: Exception) -> str:
    original = getattr(error, "orig", None) or error
    return str(original).strip().splitlines()[0] if str(original).strip() else type(original).__name__
